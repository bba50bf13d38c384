"""What a layout is: how one application lays its records out in Redis.

A layout is one file. It has two halves. In Python it says which fields a record has and what they mean. In Lua it gives
the protocol (the scripts in `redis/lua`) a few primitives, listed at the head of `session.lua` and `document.lua`, so
that the protocol reads and writes its keys in the same atomic step as the rest.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

from chatstore.models import Document, Embedding, JsonObject, Message, NewMessage, Session
from chatstore.models.ownership import Owners
from chatstore.redis.client import Client
from chatstore.redis.scanning import scan_keys
from chatstore.redis.scripts import Reply

Fields = Mapping[str, bytes]
"""What a record's hash holds, by field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A key as a scan met it, with enough of its value to tell whose layout it is.

    Attributes:
        key: The key.
        kind: Its type, as `TYPE` says it: `hash`, `list`, `string`, `zset`, `set`, `stream`, `ReJSON-RL`, `vectorset`.
        fields: Some fields of a hash, a large value as an empty one; of a JSON document its text, by the name `""`,
            and of a large one its members alone, each of them null.
        items: Some items of a list: the first ones, then the last ones.
    """

    key: bytes
    kind: str
    fields: Fields = field(default_factory=dict)
    items: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Encoded:
    """A record as its layout lays it out.

    Attributes:
        fields: What its hash holds.
        rest: What the fields cannot carry: the ledger keeps it, and gives it back for reading.
    """

    fields: Fields
    rest: bytes = b""


@dataclass(frozen=True, slots=True)
class SessionValues:
    """What a layout's fields say of a session; attributes as of `Session`."""

    title: str
    metadata: JsonObject
    extra: JsonObject = field(default_factory=dict)


class MessageValues(NamedTuple):
    """What a layout's fields say of a message; attributes as of `Message`."""

    # One is made for each message that is read, and a tuple is made faster than a frozen dataclass.
    role: str
    content: str
    metadata: JsonObject
    extra: JsonObject


@dataclass(frozen=True, slots=True)
class DocumentValues:
    """What a layout's fields say of a document; attributes as of `Document`."""

    text: str
    embedding: Embedding | None
    title: str
    url: str
    metadata: JsonObject
    extra: JsonObject = field(default_factory=dict)


class ChatLayout(ABC):
    """A layout of sessions and messages.

    The readers raise `fields.BadFieldError` when a field is not what the layout promises.

    Attributes:
        name: What the settings call it.
        default_prefix: What the keys of the sessions begin with where the app chose no other prefix; an id follows.
        shared: Whether other programs write there too. Then a user's sessions are found by reading all keys.
        spread: Whether a session lies in several keys, which on a cluster lie in several slots.
        beside: What keys of the framework begin with that are written beside a session's, and do not have the prefix.
        distinct: Whether a key with the prefix is certainly a session's. Else its type and shape are looked at first.
        owned: Whether its records say whose they are.
        whole: Whether a message is one text, so that an edit writes all of it.
        keyed: Whether each message has a key of its own and a session has none; see `KeyedChat`.
        needs_modules: Whether the server must have search, and RedisJSON perhaps.
        companions: Whether a session may be in its companion alone, so that one without messages has no other key.
        derived: Whether messages have no ids of their own, so that they are written down before another side sees them.
        kind: The type of the keys with the prefix; None where it tells which of several keys of a session one is.
        lua: The primitives of `session.lua`.
        bare: The part of the `lua` folder that reads a session of which there is no ledger; empty where no part does.
        notes: What this layout never stored, or does not give back exactly; for people who migrate from it.
        prefix: What the keys of the sessions begin with.
        index: The name of the search index that finds the messages, in layouts that have one.
    """

    name: ClassVar[str]
    default_prefix: ClassVar[bytes]
    shared: ClassVar[bool]
    spread: ClassVar[bool] = False
    beside: ClassVar[tuple[bytes, ...]] = ()
    distinct: ClassVar[bool] = True
    owned: ClassVar[bool] = True
    whole: ClassVar[bool] = False
    companions: ClassVar[bool] = False
    derived: ClassVar[bool] = False
    keyed: ClassVar[bool] = False
    needs_modules: ClassVar[bool] = False
    kind: ClassVar[str | None] = "hash"
    lua: ClassVar[str]
    bare: ClassVar[str] = ""
    notes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, prefix: str | None = None, index: str | None = None, owners: Owners | None = None) -> None:
        self.prefix = self.default_prefix if prefix is None else prefix.encode()
        self.index = index
        self._owners = owners

    def session_id(self, key: bytes) -> bytes | None:
        """Return the id of the session that a key is of; None where it is no session's."""
        return key[len(self.prefix) :]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The types of the keys that say something of a session."""
        return (self.kind,) if self.kind else ()

    def keys_of(self, session_id: bytes) -> tuple[bytes, ...]:
        """Return the keys of a session of which one at least is there, where it is not in its companion alone."""
        return (self.prefix + session_id,)

    def session_of(self, sample: Sample) -> bytes | None:
        """Return the id of the session that a key is of, as `session_id` does, where its name alone does not tell."""
        return self.session_id(sample.key)

    def owner_of(self, session_id: bytes) -> str | None:
        """Return whose a session is by the mapping of owners; None where that does not say, or the layout does."""
        if self.owned or self._owners is None:
            return None
        try:
            return self._owners.owner_of((self.prefix + session_id).decode())
        except UnicodeDecodeError:
            return None

    def claims(self, sample: Sample) -> str | None:  # noqa: ARG002 - for layouts that claim nothing
        """Return what a key is here, by its type and shape: `session`, `message`, `index`; None for none of them."""
        return None

    def edit_message(self, message: Message, content: str | None, metadata: JsonObject | None) -> Encoded:
        """Return all fields of a message that is edited, in a layout whose messages are whole."""
        edited = replace(
            message,
            content=message.content if content is None else content,
            metadata=message.metadata if metadata is None else metadata,
        )
        return self.write_message(message.session_id, edited)

    def bare_reply(self, session_id: bytes, told: Reply) -> Reply | None:  # noqa: ARG002 - for layouts with no `bare`
        """Return what the protocol replies of a session that the script `bare` told of; None where it must be asked."""
        return None

    @abstractmethod
    def write_session(self, session: Session) -> Encoded:
        """Return all fields of a session."""

    @abstractmethod
    def change_session(self, title: str | None, metadata: JsonObject | None) -> Fields:
        """Return the fields that change; None changes nothing."""

    @abstractmethod
    def read_session(self, fields: Fields, rest: bytes) -> SessionValues:
        """Return what a session's fields say."""

    @abstractmethod
    def write_message(self, session_id: str, message: Message | NewMessage) -> Encoded:
        """Return all fields of a message."""

    def change_message(self, content: str | None, metadata: JsonObject | None) -> Fields:
        """Return the fields that change; None changes nothing. Layouts whose messages are whole have `edit_message`."""
        raise NotImplementedError

    @abstractmethod
    def read_message(self, fields: Fields, rest: bytes) -> MessageValues:
        """Return what a message's fields say."""

    def raw_message(self, flat: Sequence[bytes]) -> bytes:
        """Return what is shown of a message that cannot be read: its fields and their values, a line each."""
        return b"\n".join(flat)

    @abstractmethod
    def message_key(self, session_id: bytes, message_id: bytes) -> bytes:
        """Return where a message lies, to name it in an error."""

    @property
    def orphans(self) -> Orphans | None:
        """Where messages may lie that no session lists; None where the layout has no such place."""
        return None


@dataclass(frozen=True, slots=True)
class Orphans:
    """How to find messages that no session lists.

    Attributes:
        prefix: What the keys of the messages begin with; the message's id follows.
        session_field: The field of a message that names its session.
        listing_field: The field of a session that lists its messages' ids, as a JSON array.
    """

    prefix: bytes
    session_field: str
    listing_field: str


def whereabouts(layout: ChatLayout | DocumentLayout) -> str:
    """Return what tells the data of a layout from others in the same database, readably."""
    return f"{layout.name} {layout.prefix!r} {layout.index or ''}".rstrip()


def space_named(layout: str, named: str | None) -> str:
    """Return what the ledger calls a layout with an index or a prefix of the app's own."""
    return layout if named is None else f"{layout}.{hashlib.sha256(named.encode()).hexdigest()[:8]}"


class DocumentLayout(ABC):
    """A layout of documents.

    The readers raise `fields.BadFieldError` when a field is not what the layout promises.

    Attributes:
        name: What the settings call it.
        prefix: What the keys of the documents begin with; the document's id follows. Known after `prepare` where only
            the search index says it.
        shared: Whether other programs write there too.
        owned: Whether its records say whose they are (`says_owner` in Lua).
        told: Whether the server tells of other programs' writes, record by record.
        needs_modules: Whether the server must have more than hashes: search, RedisJSON or vector sets.
        lua: The primitives of `document.lua`.
        search_fields: The fields that `read_vector` and `read_searched` need; all when there are none named.
        peek: The fields of a document's hash that say whose it is, and when it was made and written (in ms), where
            these tell it; see `document_peek.lua`.
        kind: The type of the keys, to tell them from others with the prefix; None where another type is a fault.
        notes: What the layout never stored, and what of it is not exact: a sentence each, for people.
        index: The name of the search index, where there is one.
        owners: Whose a document is, where the layout does not say.
    """

    name: ClassVar[str]
    prefix: bytes
    shared: ClassVar[bool]
    owned: ClassVar[bool] = False
    told: ClassVar[bool] = True
    needs_modules: ClassVar[bool] = False
    lua: str
    search_fields: tuple[str, ...]
    peek: ClassVar[tuple[str, str, str] | None] = None
    kind: str | None = None
    notes: tuple[str, ...] = ()

    def __init__(self, *, prefix: str | None = None, index: str | None = None, owners: Owners | None = None) -> None:
        if prefix is not None:
            self.prefix = prefix.encode()
        self.index = index
        self.owners = owners

    @property
    def space(self) -> str:
        """What the ledger calls it: two indexes in one database share ids, and nothing else."""
        return self.name

    async def prepare(self, client: Client) -> None:  # noqa: B027 - most layouts need nothing
        """Read from the server what only it knows; called before anything else, and again without harm.

        Raises:
            ConfigurationError: A setting is missing, or the server lacks what the layout needs.
        """

    def key(self, document_id: bytes) -> bytes:
        """Return the Redis key that holds a document."""
        return self.prefix + document_id

    def place(self, document_id: bytes) -> bytes:
        """Return what names a document's place in an error, and to a mapping of owners: its key, where it has one."""
        return self.key(document_id)

    async def walk(self, client: Client, cursor: str | None, wanted: int) -> AsyncIterator[IdPage]:
        """Yield the ids of all documents from a cursor on, about `wanted` at a time."""
        async for step in scan_keys(client, self.prefix, int(cursor or 0), wanted=wanted, kind=self.kind):
            ids = [key[len(self.prefix) :] for key in step.keys]
            yield IdPage(ids, str(step.following) if step.following else None)

    def born(self, document_id: bytes) -> int | None:  # noqa: ARG002 - for those that can
        """Return when a document was made (microseconds), as far as its id says."""
        return None

    @abstractmethod
    def claims(self, sample: Sample) -> str | None:
        """Return `document`, or `index` for what the framework keeps beside, where a key is that by type and shape."""

    @abstractmethod
    def write_document(self, document: Document) -> Encoded:
        """Return all fields of a document but its times, which the script adds.

        Raises:
            InvalidRecordError: The layout cannot hold it.
        """

    @abstractmethod
    def read_document(self, fields: Fields, rest: bytes) -> DocumentValues:
        """Return what a document's fields say."""

    @abstractmethod
    def read_searched(self, fields: Fields, rest: bytes) -> JsonObject:
        """Return what a search filters on: the metadata with the title and the url."""

    @abstractmethod
    def read_vector(self, fields: Fields, rest: bytes) -> Embedding | None:
        """Return the embedding alone."""


@dataclass(frozen=True, slots=True)
class IdPage:
    """A part of the ids of a layout's documents.

    Attributes:
        ids: The ids, as bytes, since they may be anything.
        cursor: Where the next part begins; None when this is the last.
    """

    ids: Sequence[bytes]
    cursor: str | None

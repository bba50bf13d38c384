"""Sessions without keys: each of their messages has one, and the framework's search index says which are a session's.

A message's key is `{prefix}{session}:{id}`, and a field of it names the session, too. What of that is asked of the
index, and what a walk over the keys must find, is said in `lua/keyed.lua`.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from chatstore.models import JsonValue, Message, NewMessage, from_micros, to_micros
from chatstore.models.ownership import Owners
from chatstore.redis.layouts.companion import CompanionChat
from chatstore.redis.layouts.fields import json_of, object_of
from chatstore.redis.layouts.layout import Fields, MessageValues
from chatstore.redis.scripts import lua_part

SESSION, ID, NEW = "\0session", "\0id", "\0new"
"""Names by which `keyed.lua` gives and takes what is beside a message's own fields, and which none of those has."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """A message's key, taken apart."""

    session_id: bytes
    message_id: bytes


class KeyedChat(CompanionChat):
    """A layout of messages with a key each, under a search index.

    Attributes:
        default_index: What the framework calls its index where the app chose no other name.
        session_field: The field of a message that names its session, and a TAG of the index.
        storage: The primitives of `keyed.lua`, which end the text of a Lua table `storage`.
    """

    shared: ClassVar[bool] = True
    distinct: ClassVar[bool] = False
    owned: ClassVar[bool] = False
    derived: ClassVar[bool] = True
    keyed: ClassVar[bool] = True
    needs_modules: ClassVar[bool] = True
    default_index: ClassVar[str]
    session_field: ClassVar[str]
    storage: ClassVar[str]

    def __init__(self, *, prefix: str | None = None, index: str | None = None, owners: Owners | None = None) -> None:
        super().__init__(prefix=prefix, index=index or self.default_index, owners=owners)

    @property
    def lua(self) -> str:  # type: ignore[override] # the prefix and the index are in it
        """The primitives of `session.lua`, for this prefix and this index."""
        names = {"prefix": self.prefix, "index": (self.index or "").encode(), "tag": self.session_field.encode()}
        constants = ", ".join(f"{name} = {_quoted(value)}" for name, value in names.items())
        made = f"local storage = {{ {constants} }}\n{self.storage}\nlocal layout = keyed(storage)"
        return f"{lua_part('keyed')}\n{made}"

    def session_id(self, key: bytes) -> bytes | None:
        found = self.parted(key)
        return None if found is None else found.session_id

    def parted(self, key: bytes) -> Keyed | None:
        """Return the session and the id that a key names by its form; None where it is no message's."""
        session_id, colon, message_id = key[len(self.prefix) :].rpartition(b":")
        return Keyed(session_id, message_id) if session_id and colon and message_id else None

    def parted_by(self, key: bytes, session_id: bytes) -> Keyed | None:
        """Return the parts of the key of a message that says it is of this session; None where the key says other."""
        head = self.prefix + session_id + b":"
        whole = session_id and key.startswith(head) and len(key) > len(head)
        return Keyed(session_id, key[len(head) :]) if whole else None

    def message_key(self, session_id: bytes, message_id: bytes) -> bytes:
        return b"%s%s:%s" % (self.prefix, session_id, message_id)

    @abstractmethod
    def asking(self, key: bytes) -> tuple[bytes | str, ...]:
        """Return the command that asks which session a message says it is of."""

    @abstractmethod
    def answered(self, answer: object) -> bytes | None:
        """Return the session that the answer to `asking` names; None where it names none."""


def seconds_of(time: datetime) -> str:
    """Return a time as Python's `repr` of its seconds: what the frameworks write."""
    return repr(to_micros(time) / 1_000_000)


def micros_of_text(text: str) -> int | None:
    """Return a time in seconds as whole microseconds, as `keyed.lua` does; None for what it reads in another way."""
    whole, _, fraction = text.partition(".")
    if not whole.isascii() or not whole.isdigit() or (fraction and not (fraction.isascii() and fraction.isdigit())):
        return None
    return int(whole) * 1_000_000 + int((fraction + "000000")[:6])


def is_plain_time(text: str) -> bool:
    """Return whether a timestamp is what `seconds_of` makes of the time that it says."""
    micros = micros_of_text(text)
    try:
        return micros is not None and seconds_of(from_micros(micros)) == text
    except OverflowError:
        return False


def rest_for(given: MessageValues, held: MessageValues) -> bytes:
    """Return what the ledger must keep of a message so that reading gives all of it.

    Args:
        given: What the message says.
        held: What reading gives without the ledger.
    """
    rest: dict[str, JsonValue] = {}
    if given.role != held.role:
        rest["role"] = given.role
    if given.metadata != held.metadata:
        rest["metadata"] = given.metadata
    if given.extra != held.extra:
        rest["extra"] = given.extra
    return json_of(rest) if rest else b""


def with_rest(held: MessageValues, rest: bytes) -> MessageValues:
    """Return a message with what the ledger keeps of it."""
    if not rest:
        return held
    kept = object_of(rest, "the ledger's part")
    role, metadata, extra = kept.get("role"), kept.get("metadata"), kept.get("extra")
    return MessageValues(
        role=role if isinstance(role, str) else held.role,
        content=held.content,
        metadata=metadata if isinstance(metadata, dict) else held.metadata,
        extra=extra if isinstance(extra, dict) else held.extra,
    )


def as_message(session_id: str, message: Message | NewMessage) -> Message:
    """Return a message with its session."""
    if isinstance(message, Message):
        return message
    return Message(
        id=message.id,
        session_id=session_id,
        user_id="",
        position=0,
        role=message.role,
        content=message.content,
        metadata=message.metadata,
        created_at=message.created_at,
        extra=message.extra,
    )


def is_new(message: Message | NewMessage) -> Fields:
    """Return the field that tells `keyed.lua` of a message that chatstore made, and may give another timestamp."""
    return {} if isinstance(message, Message) and message.version == 0 else {NEW: b"1"}


def values_of(message: Message | NewMessage) -> MessageValues:
    """Return what a message says."""
    return MessageValues(message.role, message.content, message.metadata, message.extra)


def _quoted(text: bytes) -> str:
    return "'" + "".join(f"\\{byte:03d}" for byte in text) + "'"

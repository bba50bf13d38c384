"""The calls of the document scripts, and what they reply as records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chatstore.errors import ConflictError, InvalidRecordError, LayoutError
from chatstore.models import (
    Document,
    DocumentChange,
    DocumentKey,
    Embedding,
    Kind,
    Mark,
    NewDocument,
    from_micros,
    to_micros,
)
from chatstore.models.filters import Filter
from chatstore.models.ownership import SameUsers, Users
from chatstore.redis.client import Argument
from chatstore.redis.failures import fields_of, id_of, printable, problem_of, raw_of
from chatstore.redis.journal import mark_arguments
from chatstore.redis.keys import JournalKeys, LedgerKeys
from chatstore.redis.layouts.fields import BadFieldError
from chatstore.redis.layouts.layout import DocumentLayout, DocumentValues
from chatstore.redis.scripts import Call, Reply, Script, flat_fields, script
from chatstore.redis.user_ids import new_user, old_owner, old_user

_NOTHING = DocumentValues(text="", embedding=None, title="", url="", metadata={})


@dataclass(frozen=True, slots=True)
class DocumentReply:
    """A document as a script replied it.

    Attributes:
        user_id: Whose it is, or was.
        deleted: The version of its newest deletion; 0 when it was never deleted.
        updated: When it was last written (microseconds); None when it is deleted.
        parts: The rest of the reply.
    """

    user_id: str
    deleted: int
    updated: int | None
    parts: Reply


class DocumentCalls:
    """Makes calls on the documents of one layout, and reads their replies.

    Args:
        layout: Whose.
        users: What the user ids in Redis have become; the same when left out.
        cluster: Whether the index and the journal lie elsewhere, so that no script has their keys.
    """

    def __init__(self, layout: DocumentLayout, users: Users | None = None, *, cluster: bool = False) -> None:
        self.layout = layout
        self._cluster = cluster
        self.users = users or SameUsers()
        self.ledger = LedgerKeys(Kind.DOCUMENTS, layout.space, layout.key)
        self._journal = JournalKeys(Kind.DOCUMENTS)

    def upsert(self, user_id: str, new: NewDocument, at: datetime, mark: Mark | None) -> Call:
        """Return the call that writes a document.

        Raises:
            InvalidRecordError: The layout cannot hold it.
        """
        document = Document(
            id=new.id,
            user_id=self.old_user(user_id),
            text=new.text,
            embedding=new.embedding,
            title=new.title,
            url=new.url,
            metadata=new.metadata,
            created_at=new.created_at,
            updated_at=at,
            extra=new.extra,
        )
        encoded = self.layout.write_document(document)
        details = [to_micros(new.created_at), encoded.rest, *flat_fields(encoded.fields)]
        return self._write(user_id, new.id, "upsert", at, mark, *details)

    def delete(self, user_id: str, document_id: str, at: datetime, mark: Mark | None) -> Call:
        """Return the call that deletes a document."""
        return self._write(user_id, document_id, "delete", at, mark)

    def join(self, change: DocumentChange) -> Call:
        """Return the call that joins a change.

        Raises:
            InvalidRecordError: The layout cannot hold the document.
            ConflictError: Nobody knows the old id of its user.
        """
        user_id = old_owner(self.users, change.key.user_id)
        arguments: list[Argument] = [user_id, change.deleted]
        document = change.document
        if document is None:
            arguments.append(0)
        else:
            encoded = self.layout.write_document(replace(document, user_id=user_id))
            expires = to_micros(document.expires_at) if document.expires_at else ""
            arguments += [1, document.version, to_micros(document.created_at), to_micros(document.updated_at)]
            arguments += [expires, encoded.rest, *flat_fields(encoded.fields)]
        document_id = change.key.id.encode()
        return self._call("document_join", document_id, user_id, None, arguments)

    def read(self, document_id: bytes, user_id: str | None, *, whole: bool = True, room: int = 0) -> Call:
        """Return the call that reads a document; of any user when None, and without its fields unless `whole`.

        What has more than `room` bytes is replied as large, and not read; 0 is room for all.
        """
        return self._read(document_id, user_id, "all" if whole else "none", room=room)

    def read_for_search(self, document_id: bytes, user_id: str, *, room: int = 0) -> Call:
        """Return the call that reads what a search needs of a user's document; `embedding` reads its reply."""
        names = self.layout.search_fields
        return self._read(document_id, user_id, "some" if names else "all", names, room=room)

    def adopt(self, document_id: bytes, *, room: int = 0) -> Call:
        """Return the call that reads a document of any user for the migrator: what others did is written down then."""
        return self._read(document_id, None, "adopt", room=room)

    def outline(self, document_id: bytes, *, room: int = 0) -> Call:
        """Return the call that does what `adopt` does, and replies no field."""
        return self._read(document_id, None, "outline", room=room)

    def weigh(self, document_id: bytes, *, room: int = 0) -> Call:
        """Return the call that reads of a document of any user whose it is, and how large; see `weight`.

        A reply has more than `room` bytes only where the document is unreadable; it is replied as large then.
        """
        return self._read(document_id, None, "size", room=room)

    def peek(self, document_id: bytes, *, sized: bool) -> Call | None:
        """Return the call that replies what `weigh` does, or `read` without fields, or nothing; None: use those.

        Of what it replies, the version and the expiry do not count.
        """
        if self.layout.peek is None:
            return None
        return Call(script("values", "document_peek"), [self.layout.key(document_id)], [int(sized), *self.layout.peek])

    def weight(self, found: DocumentReply) -> int:
        """Return how many bytes a document has, of the reply to `weigh`."""
        return int(found.parts[-1][1])

    def old_user(self, user_id: str) -> str:
        """Return a user's id in Redis.

        Raises:
            ConfigurationError: The mapping of users does not say.
        """
        return old_user(self.users, user_id)

    def embedding(self, reply: Reply, document_id: bytes, fits: Filter | None) -> Embedding | None:
        """Return the embedding of a document that a search reads; None when it has none, or when it does not fit.

        Raises:
            LayoutError: The document is not what the layout promises.
        """
        if self.reply(reply, document_id) is None:
            return None
        try:
            fields, rest = fields_of(reply[8] or ()), reply[7]
            if fits is not None and not fits.matches(self.layout.read_searched(fields, rest)):
                return None
            return self.layout.read_vector(fields, rest)
        except BadFieldError as error:
            raise self._unreadable(document_id, reply, str(error)) from None

    def reply(self, reply: Reply, document_id: bytes) -> DocumentReply | None:
        """Return what a script replied; None when it found nothing.

        Raises:
            ConflictError: The id is another user's, or the mapping of owners says that it would be.
            InvalidRecordError: The server does not take the document.
            LayoutError: The document is not what the layout promises.
        """
        outcome = reply[0]
        if outcome == b"missing":
            return None
        if outcome in {b"conflict", b"other"}:
            raise ConflictError(
                f"the document id {printable(document_id)!r} is taken, or not this user's by the mapping of owners: "
                f"choose another one"
            )
        if outcome == b"refused":
            raise InvalidRecordError(
                f"Redis cannot hold the document {printable(document_id)!r}: {printable(reply[1])}"
            )
        if outcome == b"problem":
            raise problem_of(reply)
        _, user, _, deleted, _, updated, *_ = reply
        try:
            user_id = new_user(self.users, user)
            return DocumentReply(user_id, int(deleted), int(updated) if updated else None, reply)
        except BadFieldError as error:
            raise self._unreadable(document_id, reply, str(error)) from None

    def key(self, found: DocumentReply, document_id: bytes) -> DocumentKey:
        """Return what names a document.

        Raises:
            LayoutError: Its id is one that no document can have.
        """
        try:
            return DocumentKey(found.user_id, id_of(document_id, self.layout.place(document_id), "document"))
        except LayoutError as error:
            raise self._unreadable(document_id, found.parts, error.reason) from None

    def change(self, found: DocumentReply, document_id: bytes, *, whole: bool = True) -> DocumentChange:
        """Return a document's state; with nothing of its fields unless `whole`, as of the reply to `outline`.

        Raises:
            LayoutError: One of its fields is not what the layout promises.
        """
        key = self.key(found, document_id)
        try:
            document = None if found.updated is None else self._document(key, found.parts, whole=whole)
        except (BadFieldError, OverflowError) as error:
            raise self._unreadable(document_id, found.parts, str(error)) from None
        return DocumentChange(key=key, document=document, deleted=found.deleted)

    def _document(self, key: DocumentKey, parts: Reply, *, whole: bool = True) -> Document:
        _, _, version, _, created, updated, expires, rest, flat = parts
        values = self.layout.read_document(fields_of(flat), rest) if whole else _NOTHING
        return Document(
            id=key.id,
            user_id=key.user_id,
            text=values.text,
            embedding=values.embedding,
            title=values.title,
            url=values.url,
            metadata=values.metadata,
            created_at=from_micros(int(created)),
            updated_at=from_micros(int(updated)),
            expires_at=from_micros(int(expires)) if expires else None,
            version=int(version),
            extra=values.extra,
        )

    def _unreadable(self, document_id: bytes, parts: Reply, reason: str) -> LayoutError:
        return LayoutError(self.layout.place(document_id), raw_of(parts[-1] or ()), reason)

    def _read(
        self, document_id: bytes, user_id: str | None, wanted: str, names: Sequence[str] = (), *, room: int = 0
    ) -> Call:
        scope: list[Argument] = [0] if user_id is None else [1, self.old_user(user_id)]
        return self._call("document_read", document_id, "", None, [*scope, wanted, len(names), *names, room])

    def _write(
        self, user_id: str, document_id: str, op: str, at: datetime, mark: Mark | None, *details: Argument
    ) -> Call:
        old = self.old_user(user_id)
        arguments = [old, op, to_micros(at), *mark_arguments(mark), *details]
        return self._call("document_write", document_id.encode(), old, mark, arguments)

    def _call(
        self, part: str, document_id: bytes, user_id: str, mark: Mark | None, arguments: Sequence[Argument]
    ) -> Call:
        born = self.layout.born(document_id)
        about: list[Argument] = [document_id, *self._owner(document_id), "" if born is None else born]
        keys = self._keys(document_id, user_id, mark)
        return Call(self._script("marks", "document", part), keys, [*about, *arguments])

    def _owner(self, document_id: bytes) -> tuple[str, str]:
        """Return whose a document is by the mapping of owners, and the field that says it; empty where none does."""
        owners = self.layout.owners
        if owners is None:
            return "", ""
        try:
            place = self.layout.place(document_id).decode()
        except UnicodeDecodeError:
            # Quarantined anyway.
            return "", owners.field
        return owners.owner_of(place) or "", owners.field

    def _script(self, *parts: str) -> Script:
        return script("values", *parts, layout=self.layout.lua)

    def _keys(self, document_id: bytes, user_id: str, mark: Mark | None) -> list[bytes]:
        keys = [self.layout.key(document_id), self.ledger.of("state", document_id)]
        if self._cluster:
            return keys
        keys.append(self.ledger.index(user_id.encode()))
        if mark is not None:
            journal = self._journal
            keys += [journal.marks, journal.bodies, journal.of_user(mark.user_id), journal.migration]
        return keys

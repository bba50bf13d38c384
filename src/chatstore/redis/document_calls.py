"""The calls of the document scripts, and what they reply as records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chatstore.errors import ConflictError, LayoutError
from chatstore.models import (
    Document,
    DocumentChange,
    DocumentKey,
    Kind,
    Mark,
    NewDocument,
    from_micros,
    to_micros,
)
from chatstore.redis.client import Argument
from chatstore.redis.failures import fields_of, problem_of, raw_of
from chatstore.redis.journal import mark_arguments
from chatstore.redis.keys import JournalKeys, LedgerKeys
from chatstore.redis.layouts.fields import BadFieldError
from chatstore.redis.layouts.layout import DocumentLayout
from chatstore.redis.scripts import Call, Reply, Script, flat_fields, script


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
    """

    def __init__(self, layout: DocumentLayout) -> None:
        self.layout = layout
        self.ledger = LedgerKeys(Kind.DOCUMENTS, layout.name, lambda record_id: layout.prefix + record_id)
        self._journal = JournalKeys(Kind.DOCUMENTS)

    def upsert(self, user_id: str, new: NewDocument, at: datetime, mark: Mark | None) -> Call:
        """Return the call that writes a document."""
        document = Document(
            id=new.id,
            user_id=user_id,
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
        """Return the call that joins a change."""
        arguments: list[Argument] = [change.key.id, change.key.user_id, change.deleted]
        document = change.document
        if document is None:
            arguments.append(0)
        else:
            encoded = self.layout.write_document(document)
            expires = to_micros(document.expires_at) if document.expires_at else ""
            arguments += [1, document.version, to_micros(document.created_at), to_micros(document.updated_at)]
            arguments += [expires, encoded.rest, *flat_fields(encoded.fields)]
        keys = self._keys(change.key.id.encode(), change.key.user_id)
        return Call(self._script("document", "document_join"), keys, arguments)

    def read(self, document_id: bytes, user_id: str | None, *, whole: bool = True) -> Call:
        """Return the call that reads a document; of any user when None, and without its fields unless `whole`."""
        scope: list[Argument] = [0] if user_id is None else [1, user_id]
        keys = self._keys(document_id)
        return Call(self._script("document", "document_read"), keys, [document_id, *scope, int(whole)])

    def reply(self, reply: Reply, document_id: bytes) -> DocumentReply | None:
        """Return what a script replied; None when it found nothing.

        Raises:
            ConflictError: The id is another user's.
            LayoutError: The document is not what the layout promises.
        """
        outcome = reply[0]
        if outcome == b"missing":
            return None
        if outcome == b"conflict":
            raise ConflictError(f"the document id {document_id.decode()!r} is taken: choose another one")
        if outcome == b"problem":
            raise problem_of(reply)
        _, user, _, deleted, _, updated, *_ = reply
        try:
            return DocumentReply(user.decode(), int(deleted), int(updated) if updated else None, reply)
        except UnicodeDecodeError as error:
            raise self._unreadable(document_id, reply, error) from error

    def change(self, found: DocumentReply, document_id: bytes) -> DocumentChange:
        """Return a document's state.

        Raises:
            LayoutError: One of its fields is not what the layout promises.
        """
        try:
            key = DocumentKey(found.user_id, document_id.decode())
            document = None if found.updated is None else self._document(key, found.parts)
        except (BadFieldError, UnicodeDecodeError, OverflowError) as error:
            raise self._unreadable(document_id, found.parts, error) from error
        return DocumentChange(key=key, document=document, deleted=found.deleted)

    def _document(self, key: DocumentKey, parts: Reply) -> Document:
        _, _, version, _, created, updated, expires, rest, flat = parts
        values = self.layout.read_document(fields_of(flat), rest)
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

    def _unreadable(self, document_id: bytes, parts: Reply, error: Exception) -> LayoutError:
        return LayoutError(self.layout.prefix + document_id, raw_of(parts[-1] or ()), str(error))

    def _write(
        self, user_id: str, document_id: str, op: str, at: datetime, mark: Mark | None, *details: Argument
    ) -> Call:
        arguments = [document_id, user_id, op, to_micros(at), *mark_arguments(mark), *details]
        keys = self._keys(document_id.encode(), user_id, mark)
        return Call(self._script("marks", "document", "document_write"), keys, arguments)

    def _script(self, *parts: str) -> Script:
        return script("values", *parts, layout=self.layout.lua)

    def _keys(self, document_id: bytes, user_id: str = "", mark: Mark | None = None) -> list[bytes]:
        keys = [
            self.layout.prefix + document_id,
            self.ledger.of("state", document_id),
            self.ledger.index(user_id.encode()),
        ]
        if mark is not None:
            journal = self._journal
            keys += [journal.marks, journal.bodies, journal.of_user(mark.user_id), journal.migration]
        return keys

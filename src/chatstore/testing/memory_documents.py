"""A document store that lives in this process only: the definition of what every other one does, in plain Python."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import datetime

from chatstore.errors import ConflictError, InvalidRecordError, NotFoundError
from chatstore.interfaces import DocumentSide, Embedder
from chatstore.models import (
    Document,
    DocumentChange,
    DocumentCommand,
    DocumentKey,
    DocumentsWritten,
    Embedding,
    JsonObject,
    KeyPage,
    Mark,
    Match,
    NewDocument,
    Page,
    ScanPage,
    Side,
    UpsertDocuments,
    has_expired,
    next_version,
    to_micros,
    utc_now,
)
from chatstore.models.checks import check_count, check_names
from chatstore.models.filters import parse_filter
from chatstore.models.paging import parse_place, place_behind
from chatstore.testing.memory_journal import MemoryJournal

_PART = 500


class MemoryDocuments(DocumentSide):
    """A `DocumentSide` in a dict.

    Args:
        side: Which side it plays.
        embedder: Makes the embeddings that a caller did not give.
        now: The clock; replace it to test what a jump of the clock does.
    """

    def __init__(self, side: Side, *, embedder: Embedder | None = None, now: Callable[[], datetime] = utc_now) -> None:
        self.side = side
        self.embedder = embedder
        self.atomic = True
        self.journal: MemoryJournal = MemoryJournal()
        self._now = now
        self._states: dict[str, DocumentChange] = {}
        self._lapsed: dict[str, int] = {}

    async def write(self, command: DocumentCommand, marks: Sequence[Mark] = ()) -> DocumentsWritten:
        if isinstance(command, UpsertDocuments):
            for document in command.documents:
                self._check_owner(DocumentKey(command.user_id, document.id))
            changes = [self._upserted(command, document) for document in command.documents]
        else:
            present = [self._find(command.user_id, document_id) for document_id in command.ids]
            changes = [self._deleted(document.key) for document in present if document is not None]
        for change in changes:
            self._states[change.key.id] = change
        written = {change.key.id for change in changes}
        self.journal.set([mark for mark in marks if mark.key in written])
        documents = tuple(change.document for change in changes if change.document is not None)
        return DocumentsWritten(changes=tuple(changes), documents=documents)

    def _upserted(self, command: UpsertDocuments, new: NewDocument) -> DocumentChange:
        key = DocumentKey(command.user_id, new.id)
        present = self._find(*_names(key))
        document = Document(
            id=new.id,
            user_id=command.user_id,
            text=new.text,
            embedding=new.embedding,
            title=new.title,
            url=new.url,
            metadata=new.metadata,
            created_at=present.created_at if present else new.created_at,
            updated_at=command.at,
            version=self._next(key),
            extra=new.extra,
        )
        return DocumentChange(key=key, document=document, deleted=self._deletion(key))

    def _deleted(self, key: DocumentKey) -> DocumentChange:
        return DocumentChange(key=key, document=None, deleted=self._next(key))

    async def changes(self, keys: Sequence[DocumentKey]) -> ScanPage[DocumentChange]:
        held = [self._states.get(key.id) for key in keys]
        known = [change for change, key in zip(held, keys, strict=True) if change and change.key == key]
        told = (change if self._lives(change.document) else replace(change, document=None) for change in known)
        return ScanPage(tuple(change for change in told if change.document or change.deleted), (), None)

    async def put(self, changes: Sequence[DocumentChange]) -> None:
        for change in changes:
            self._check_owner(change.key)
            held = self._states.get(change.key.id)
            deleted = max(change.deleted, held.deleted if held else 0)
            documents = [c.document for c in (held, change) if c is not None and c.document is not None]
            # Of one version in two states, that which has not expired counts.
            newest = max(documents, key=lambda document: (document.version, self._lives(document)), default=None)
            alive = newest if newest is not None and newest.version > deleted else None
            if alive is not None and not self._lives(alive):
                self._lapsed[alive.id] = max(alive.version, self._lapsed.get(alive.id, 0))
            if not self._lives(alive) or (alive is not None and alive.version < self._lapsed.get(alive.id, 0)):
                alive = None
            self._states[change.key.id] = DocumentChange(key=change.key, document=alive, deleted=deleted)

    async def search_by_embedding(
        self, user_id: str, embedding: Embedding, *, k: int, where: JsonObject | None
    ) -> list[Match]:
        fits = None if where is None else parse_filter(where)
        matches = [
            Match(document, _cosine(document.embedding, embedding))
            for document in self._of(user_id)
            if document.embedding is not None
            and (fits is None or fits.matches({**document.metadata, "title": document.title, "url": document.url}))
        ]
        return sorted(matches, key=lambda match: (-match.score, match.document.id))[:k]

    async def get(self, user_id: str, document_id: str) -> Document:
        check_names(user_id, document_id=document_id)
        document = self._find(user_id, document_id)
        if document is None:
            raise NotFoundError(f"there is no document {document_id!r} of this user")
        return document

    async def get_each(self, user_id: str, ids: Sequence[str]) -> list[Document]:
        found = (self._find(user_id, document_id) for document_id in ids)
        return [document for document in found if document is not None]

    async def list_documents(self, user_id: str, *, limit: int = 50, after: str | None = None) -> Page[Document]:
        check_names(user_id)
        check_count(limit, "limit", least=1)
        mine = sorted(self._of(user_id), key=_recency, reverse=True)
        rest = [document for document in mine if after is None or _recency(document) < parse_place(after)]
        page = rest[:limit]
        following = place_behind(page[-1].updated_at, page[-1].id) if len(rest) > limit else None
        return Page(tuple(page), following)

    async def held_by(self, user_id: str) -> AsyncIterator[Sequence[str]]:
        # Of a copy, since whoever asks may delete them meanwhile.
        for name, state in list(self._states.items()):
            if state.document is not None and state.key.user_id == user_id:
                yield [name]

    async def count_documents(self, user_id: str) -> int:
        check_names(user_id)
        return len(self._of(user_id))

    async def keys(self, cursor: str | None = None) -> AsyncIterator[KeyPage[DocumentKey]]:
        ids = [name for name in sorted(self._states) if cursor is None or name > cursor]
        for start in range(0, len(ids), _PART):
            part = ids[start : start + _PART]
            keys = tuple(self._states[name].key for name in part if name in self._states)
            yield KeyPage(keys, (), part[-1] if start + _PART < len(ids) else None)

    async def count(self) -> int:
        return sum(change.document is not None for change in self._states.values())

    async def expired(self) -> AsyncIterator[Sequence[DocumentKey]]:
        gone = [change.key for change in self._states.values() if not self._lives(change.document)]
        for start in range(0, len(gone), _PART):
            yield gone[start : start + _PART]

    async def remove_expired(self, keys: Sequence[DocumentKey]) -> int:
        removed = 0
        for key in keys:
            state = self._states.get(key.id)
            if state is not None and state.document is not None and not self._lives(state.document):
                self._lapsed[key.id] = state.document.version
                self._states[key.id] = replace(state, document=None)
                removed += 1
        return removed

    async def close(self) -> None:
        pass

    def _of(self, user_id: str) -> list[Document]:
        found = (self._find(user_id, document_id) for document_id in self._states)
        return [document for document in found if document is not None]

    def _find(self, user_id: str, document_id: str) -> Document | None:
        state = self._states.get(document_id)
        document = state.document if state else None
        if document is None or document.user_id != user_id:
            return None
        return document if self._lives(document) else None

    def _lives(self, document: Document | None) -> bool:
        return document is None or not has_expired(document.expires_at, self._now())

    def _check_owner(self, key: DocumentKey) -> None:
        state = self._states.get(key.id)
        if state is not None and state.document is not None and state.key.user_id != key.user_id:
            raise ConflictError(f"the document id {key.id!r} is taken: choose another one")

    def _deletion(self, key: DocumentKey) -> int:
        state = self._states.get(key.id)
        return state.deleted if state else 0

    def _next(self, key: DocumentKey) -> int:
        state = self._states.get(key.id)
        last = max(state.version if state else 0, self._lapsed.get(key.id, 0))
        return next_version(last, to_micros(self._now()), self.side)


def _names(key: DocumentKey) -> tuple[str, str]:
    return (key.user_id, key.id)


def _cosine(left: Embedding, right: Embedding) -> float:
    if left.dimension != right.dimension:
        raise InvalidRecordError(
            f"the query's embedding has {right.dimension} numbers, the documents' have {left.dimension}"
        )
    dot = math.fsum(a * b for a, b in zip(left, right, strict=True))
    lengths = math.hypot(*left) * math.hypot(*right)
    return dot / lengths if lengths else 0.0


def _recency(document: Document) -> tuple[int, str]:
    return (to_micros(document.updated_at), document.id)

"""Documents in Redis: the old side of a migration, or a store of its own."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection, Sequence
from functools import partial

from chatstore.errors import ConflictError, LayoutError, NotFoundError
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
    Kind,
    Mark,
    Match,
    Page,
    ScanPage,
    ServerLoad,
    Side,
    UpsertDocuments,
    to_micros,
)
from chatstore.models.checks import check_count, check_names
from chatstore.models.filters import parse_filter
from chatstore.models.ownership import Users
from chatstore.redis.ahead import Ahead, Deadline
from chatstore.redis.client import AppClient
from chatstore.redis.connecting import take_over
from chatstore.redis.document_calls import DocumentCalls
from chatstore.redis.document_keys import keys
from chatstore.redis.document_peek import peek_all
from chatstore.redis.document_states import DocumentStates
from chatstore.redis.held import document_owner, held_by
from chatstore.redis.index import Owned, Place, UserIndex
from chatstore.redis.journal import RedisJournal
from chatstore.redis.layouts.layout import DocumentLayout, whereabouts
from chatstore.redis.load import load_of
from chatstore.redis.scripts import Call, Reply, run, run_all
from chatstore.redis.search import search

_BATCH = 200
_INDEXED = 500

logger = logging.getLogger(__name__)


class RedisDocuments(DocumentSide):
    """Documents in Redis, in one layout, searched without a search module.

    A document that cannot be read raises `LayoutError` where a user asks for it, and is left out of lists and searches
    with a warning; `keys`, `scan` and `changes` report it as quarantined.

    Args:
        client: A client of redis-py, the app's own (it stays open) or one of `connect`.
        layout: How the records are laid out.
        embedder: Makes the embeddings that a caller did not give.
        users: What the user ids in Redis have become; the same when left out.
    """

    def __init__(
        self, client: AppClient, layout: DocumentLayout, embedder: Embedder | None = None, users: Users | None = None
    ) -> None:
        self.side = Side.OLD
        self.atomic = True
        self.embedder = embedder
        self._client = take_over(client)
        self._owned = self._client is not client
        self._layout = layout
        self.journal = RedisJournal(self._client, Kind.DOCUMENTS)
        self._calls = DocumentCalls(layout, users, cluster=self._client.is_cluster)
        self._index = UserIndex(self._client, self._calls.ledger, self._ids if layout.shared else None, self._owners)
        self._ahead = Ahead(self.journal, self._index) if self._client.is_cluster else None
        self._states = DocumentStates(self._client, self._calls)
        self._is_ready = False

    @property
    def notes(self) -> tuple[str, ...]:
        return self._layout.notes

    @property
    def space(self) -> str:
        return whereabouts(self._layout)

    async def write(self, command: DocumentCommand, marks: Sequence[Mark] = ()) -> DocumentsWritten:
        """As `DocumentSide.write`. When one of many ids conflicts, the others are written all the same."""
        await self._ready()
        # On a cluster the marks lie elsewhere, and are made before.
        own: Sequence[Mark | None] = [None] * _size(command) if self._ahead or not marks else marks
        if isinstance(command, UpsertDocuments):
            ids = [document.id for document in command.documents]
            calls = [
                self._calls.upsert(command.user_id, document, command.at, mark)
                for document, mark in zip(command.documents, own, strict=True)
            ]
        else:
            ids = list(command.ids)
            calls = [
                self._calls.delete(command.user_id, name, command.at, mark) for name, mark in zip(ids, own, strict=True)
            ]
        replies: list[Reply] = []
        for start in range(0, len(calls), _BATCH):
            part = slice(start, start + _BATCH)
            if self._ahead is None:
                replies += await run_all(self._client, calls[part])
            else:
                replies += await self._write_ahead(self._ahead, command, calls[part], ids[part], marks[part])
        found = [self._calls.reply(reply, name.encode()) for reply, name in zip(replies, ids, strict=True)]
        changes = [
            self._calls.change(one, name.encode()) for one, name in zip(found, ids, strict=True) if one is not None
        ]
        documents = tuple(change.document for change in changes if change.document is not None)
        return DocumentsWritten(changes=tuple(changes), documents=documents)

    async def search_by_embedding(
        self, user_id: str, embedding: Embedding, *, k: int, where: JsonObject | None
    ) -> list[Match]:
        await self._ready()
        fits = None if where is None else parse_filter(where)
        hits = await search(self._client, self._calls, self._index, user_id, embedding, k=k, fits=fits)
        scores = {hit.id: hit.score for hit in hits}
        documents = await self._load(user_id, [hit.id for hit in hits])
        return [Match(document, scores[document.id.encode()]) for document in documents]

    async def get_each(self, user_id: str, ids: Sequence[str]) -> list[Document]:
        await self._ready()
        names = [document_id.encode() for document_id in ids]
        replies = await self._states.replies(user_id, names)
        found = (self._document(reply, name) for name, reply in zip(names, replies, strict=True))
        return [document for document in found if document is not None]

    async def get(self, user_id: str, document_id: str) -> Document:
        check_names(user_id, document_id=document_id)
        await self._ready()
        reply = await run(self._client, self._calls.read(document_id.encode(), user_id))
        document = self._document(reply, document_id.encode())
        if document is None:
            raise NotFoundError(f"there is no document {document_id!r} of this user")
        return document

    async def list_documents(self, user_id: str, *, limit: int = 50, after: str | None = None) -> Page[Document]:
        """As `DocumentStore.list_documents`; what it may not see yet is said in `redis/index.py`."""
        check_names(user_id)
        check_count(limit, "limit", least=1)
        await self._ready()
        found: list[tuple[Place, Document]] = []
        indexed = self._calls.old_user(user_id)
        while len(found) <= limit:
            places = await self._index.page(indexed, limit + 1 - len(found), after)
            if not places:
                break
            by_id = {place.id: place for place in places}
            documents = await self._load(user_id, list(by_id))
            found += [(by_id[document.id.encode()], document) for document in documents]
            after = places[-1].cursor
        following = found[limit - 1][0].cursor if len(found) > limit else None
        return Page(tuple(document for _, document in found[:limit]), following)

    async def count_documents(self, user_id: str) -> int:
        check_names(user_id)
        await self._ready()
        count = 0
        async for places in self._index.places(self._calls.old_user(user_id), _BATCH):
            calls = [self._calls.read(place.id, user_id, whole=False) for place in places]
            count += sum(reply[0] == b"found" for reply in await run_all(self._client, calls))
        return count

    async def changes(self, keys: Sequence[DocumentKey]) -> ScanPage[DocumentChange]:
        await self._ready()
        return await self._states.of_keys(keys)

    async def outlines(self, keys: Sequence[DocumentKey]) -> ScanPage[DocumentChange]:
        await self._ready()
        return await self._states.outlines(keys)

    async def held(self, keys: Collection[DocumentKey]) -> Collection[DocumentKey]:
        await self._ready()
        return await self._states.held(keys)

    async def put(self, changes: Sequence[DocumentChange]) -> None:
        await self._ready()
        calls = [self._calls.join(change) for change in changes]
        alive = [] if self._ahead is None else [self._owned_by(change) for change in changes if change.document]
        await self._index.note(alive)
        replies = await run_all(self._client, calls)
        await self._index.note(alive)
        for change, reply in zip(changes, replies, strict=True):
            if reply[0] == b"joined":
                continue
            try:
                self._calls.reply(reply, change.key.id.encode())
            except LayoutError as error:
                raise ConflictError(f"an unreadable record lies in the place of the document: {error}") from error

    async def held_by(self, user_id: str) -> AsyncIterator[Sequence[str]]:
        """As `DocumentSide.held_by`; all keys of the layout and of the ledger are looked at for it."""
        await self._ready()
        if (old := self._calls.users.old_of(user_id)) is None:
            return
        walk, calls = self._ids(), self._calls
        read = partial(calls.read, user_id=None, whole=False)
        async for ids in held_by(self._client, old.encode(), walk, calls.ledger, read=read, owner_of=document_owner):
            yield ids

    async def keys(self, cursor: str | None = None) -> AsyncIterator[KeyPage[DocumentKey]]:
        await self._ready()
        async for page in keys(self._client, self._calls, cursor, passes_over=self._states.pass_over):
            yield page

    async def preview(self, ids: Sequence[bytes]) -> ScanPage[DocumentChange]:
        """Return what `scan` would of some ids, and change nothing at all."""
        await self._layout.prepare(self._client)
        return await self._states.of(ids, adopt=False)

    async def count(self) -> int:
        await self._ready()
        count = 0
        async for step in self._layout.walk(self._client, None, _BATCH):
            replies = await peek_all(self._client, self._calls, step.ids, sized=False)
            count += sum(reply[0] == b"found" for reply in replies)
        return count

    async def estimate(self) -> int:
        """As `DocumentSide.estimate`; whatever lies where a document may lie counts."""
        await self._ready()
        count = 0
        async for ids in self._ids():
            count += len(ids)
        return count

    async def load(self) -> ServerLoad:
        return await load_of(self._client)

    async def close(self) -> None:
        await self._index.close()
        if self._owned:
            await self._client.aclose()

    async def _ready(self) -> None:
        """Let the layout read what only the server knows, and say once what the layout never stored."""
        if self._is_ready:
            return
        await self._layout.prepare(self._client)
        if not self._is_ready:
            self._is_ready = True
            for note in self.notes:
                logger.info("the layout %s: %s", self._layout.name, note)

    async def _write_ahead(
        self, ahead: Ahead, command: DocumentCommand, calls: Sequence[Call], ids: Sequence[str], marks: Sequence[Mark]
    ) -> Sequence[Reply]:
        """Write on a cluster, where neither the marks nor the index can be written in the documents' own steps."""
        user_id, names = self._calls.old_user(command.user_id).encode(), [name.encode() for name in ids]
        score, upserts = to_micros(command.at), isinstance(command, UpsertDocuments)
        new = [Owned(user_id, Place(name, score)) for name in names] if upserts else []

        async def execute(deadline: Deadline) -> list[Reply]:
            return await run_all(self._client, [deadline.on(call) for call in calls])

        def places(replies: Sequence[Reply]) -> list[Owned]:
            written = [(name, reply) for name, reply in zip(names, replies, strict=True) if reply[0] == b"changed"]
            return [Owned(user_id, Place(name, float(reply[5]))) for name, reply in written if reply[5]]

        return await ahead.write(marks, new, execute, places)

    def _owned_by(self, change: DocumentChange) -> Owned:
        assert change.document is not None, "asked for those that have one"  # noqa: S101
        user_id = self._calls.old_user(change.key.user_id).encode()
        return Owned(user_id, Place(change.key.id.encode(), to_micros(change.document.updated_at)))

    async def _ids(self) -> AsyncIterator[Sequence[bytes]]:
        async for step in self._layout.walk(self._client, None, _INDEXED):
            yield step.ids

    def _document(self, reply: Reply, name: bytes) -> Document | None:
        """Return what was read of a user's document; None where it is not there."""
        found = self._calls.reply(reply, name)
        return None if found is None else self._calls.change(found, name).document

    async def _load(self, user_id: str, ids: Sequence[bytes]) -> list[Document]:
        """Return a user's documents in the order of `ids`; those that are gone are dropped from the index."""
        replies = await self._states.replies(user_id, ids)
        documents: list[Document] = []
        for name, reply in zip(ids, replies, strict=True):
            try:
                document = self._document(reply, name)
            except LayoutError as error:
                logger.warning("a document was left out: %s", error)
                continue
            if document is not None:
                documents.append(document)
        gone = [name for name, reply in zip(ids, replies, strict=True) if reply[0] == b"missing"]
        await self._index.drop(self._calls.old_user(user_id), gone)
        return documents

    async def _owners(self, ids: Sequence[bytes]) -> list[Owned]:
        replies = await run_all(self._client, [self._calls.read(name, None, whole=False) for name in ids])
        found = ((name, reply) for name, reply in zip(ids, replies, strict=True) if reply[0] == b"found" and reply[5])
        return [Owned(reply[1], Place(name, float(reply[5]))) for name, reply in found]


def _size(command: DocumentCommand) -> int:
    return len(command.documents if isinstance(command, UpsertDocuments) else command.ids)

"""Documents in Chroma: the new side of their migration."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import datetime

from chatstore.chroma.client import ChromaClient
from chatstore.chroma.collection import Collections
from chatstore.chroma.collections import CollectionPlan, PerUser
from chatstore.chroma.exclusion import Exclusion
from chatstore.chroma.expiry import Expiry
from chatstore.chroma.holdings import Held, Holdings, together
from chatstore.chroma.joining import join, plan_join
from chatstore.chroma.journal import ChromaJournal
from chatstore.chroma.metadata import is_expired
from chatstore.chroma.reading import Reading
from chatstore.chroma.scan import collection_names, keys
from chatstore.chroma.versions import Clock
from chatstore.chroma.walk import Place
from chatstore.chroma.work import ChromaWork
from chatstore.errors import BusyError, ChatStoreError, UnavailableError
from chatstore.interfaces import DocumentSide, Embedder
from chatstore.models import (
    DeleteDocuments,
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
    ServerLoad,
    Side,
    UpsertDocuments,
    from_micros,
    utc_now,
)
from chatstore.models.checks import check_count, check_names

_JOIN_SECONDS = 10.0
"""Half of the lease of an announced join: what was given up may go on in the server for a while."""


class ChromaDocuments(DocumentSide):
    """A `DocumentSide` in Chroma.

    Chroma has no transactions and no conditional write: `atomic` is False, and all marks are made before the write that
    they are for. A write with marks and a `put` of the same document are kept apart (see `exclusion`): a write that
    waits for puts in vain ends with `BusyError`, without an effect. A deletion is kept in the collection
    `chatstore_tombstones`, and so is the version of a document that expired and was removed. Nobody sees documents past
    their `expires_at`, but they take room until `remove_expired`.

    Args:
        client: The database. It stays open when this is closed.
        plan: Which collection holds whose documents; one for each user by default.
        embedder: Makes the embeddings that a caller did not give.
        now: The clock; replace it to test what a jump of the clock does.
    """

    def __init__(
        self,
        client: ChromaClient,
        *,
        plan: CollectionPlan | None = None,
        embedder: Embedder | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.side = Side.NEW
        self.atomic = False
        self.embedder = embedder
        self._client = client
        self._collections = Collections(client)
        self.journal: ChromaJournal = ChromaJournal(self._collections)
        self._holdings = Holdings(self._collections, plan or PerUser())
        self._reading = Reading(self._holdings, now)
        self._expiry = Expiry(self._collections, self._holdings, now)
        self._clock = Clock(self.side, now)
        self._now = now
        self._exclusion = Exclusion(ChromaWork(self._collections, self.journal))

    async def write(self, command: DocumentCommand, marks: Sequence[Mark] = ()) -> DocumentsWritten:
        await self.journal.add(marks)
        ids = [new.id for new in command.documents] if isinstance(command, UpsertDocuments) else command.ids
        try:
            async with self._exclusion.writing(command.user_id, ids, marked=bool(marks)):
                return await (self._upsert(command) if isinstance(command, UpsertDocuments) else self._delete(command))
        except BusyError:
            # Nothing was written. A mark that cannot be cleared costs a merge, and does no harm.
            with suppress(ChatStoreError):
                await self.journal.clear(marks)
            raise

    async def _upsert(self, command: UpsertDocuments) -> DocumentsWritten:
        held = await self._holdings.held([DocumentKey(command.user_id, new.id) for new in command.documents])
        documents = [self._made(command, new, held[DocumentKey(command.user_id, new.id)]) for new in command.documents]
        await self._holdings.write(documents, held)
        anew = [doc for doc in documents if self._has_expired(held[doc.key])]
        if anew:
            await self._write_what_was_swept(command.user_id, anew)
        changes = (DocumentChange(key=doc.key, document=doc, deleted=held[doc.key].deleted) for doc in documents)
        return DocumentsWritten(changes=tuple(changes), documents=tuple(documents))

    async def _write_what_was_swept(self, user_id: str, documents: Sequence[Document]) -> None:
        """Write once more what was written over expired documents and was taken along by their removal.

        Who removes announces it before, and looks after: an announcement that is not there now is of one who will find
        these documents, and leave them.
        """
        with suppress(BusyError):
            await self._exclusion.joins_ended(user_id, [document.id for document in documents])
        held = await self._holdings.held([document.key for document in documents])
        if lost := [document for document in documents if held[document.key].record is None]:
            await self._holdings.write(lost, held)

    async def _delete(self, command: DeleteDocuments) -> DocumentsWritten:
        held = await self._holdings.held([DocumentKey(command.user_id, document_id) for document_id in command.ids])
        deletions = {
            key: self._clock.next(known.version) for key, known in held.items() if self._is_seen(key.user_id, known)
        }
        # The tombstone goes first: should this stop in between, a merge finishes the deletion.
        await self._holdings.tombstones.keep(deletions)
        await self._holdings.remove(deletions)
        changes = (DocumentChange(key=key, document=None, deleted=version) for key, version in deletions.items())
        return DocumentsWritten(changes=tuple(changes))

    def _made(self, command: UpsertDocuments, new: NewDocument, held: Held) -> Document:
        """Return the document that a command makes of a new one, over what is held of it."""
        created = new.created_at
        if held.record is not None and self._is_seen(command.user_id, held):
            first = held.record.metadata.get("created_at")
            created = from_micros(first) if isinstance(first, int) else created
        return Document(
            id=new.id,
            user_id=command.user_id,
            text=new.text,
            embedding=new.embedding,
            title=new.title,
            url=new.url,
            metadata=new.metadata,
            created_at=created,
            updated_at=command.at,
            version=self._clock.next(held.version),
            extra=new.extra,
        )

    def _has_expired(self, held: Held) -> bool:
        return held.record is not None and is_expired(held.record, self._now())

    def _is_seen(self, user_id: str, held: Held) -> bool:
        return held.record is not None and not held.is_overtaken and self._reading.sees(user_id, held.record)

    async def changes(self, keys: Sequence[DocumentKey]) -> ScanPage[DocumentChange]:
        return await self._holdings.changes(keys, self._now())

    async def lacking(self, changes: Sequence[DocumentChange]) -> Sequence[DocumentChange]:
        held = await self._holdings.held([change.key for change in changes])
        touched = plan_join(held, changes, self._now()).keys
        return [change for change in changes if change.key in touched]

    async def load(self) -> ServerLoad:
        begun = time.perf_counter()
        await self._client.call("heartbeat")
        return ServerLoad(latency=time.perf_counter() - begun)

    async def put(self, changes: Sequence[DocumentChange]) -> None:
        await self._exclusion.join(changes, self._join)

    async def _join(self, changes: Sequence[DocumentChange]) -> None:
        try:
            async with asyncio.timeout(_JOIN_SECONDS):
                await join(self._holdings, changes, self._now())
        except TimeoutError as error:
            raise UnavailableError(f"Chroma did not take {len(changes)} documents in {_JOIN_SECONDS:.0f} s") from error

    async def finds(self, document: Document) -> bool:
        return await self._reading.finds(document)

    async def search_by_embedding(
        self, user_id: str, embedding: Embedding, *, k: int, where: JsonObject | None
    ) -> list[Match]:
        return await self._reading.search(user_id, embedding, k, where)

    async def get(self, user_id: str, document_id: str) -> Document:
        check_names(user_id, document_id=document_id)
        return await self._reading.get(user_id, document_id)

    async def get_each(self, user_id: str, ids: Sequence[str]) -> list[Document]:
        return await self._reading.get_each(user_id, ids)

    async def list_documents(self, user_id: str, *, limit: int = 50, after: str | None = None) -> Page[Document]:
        check_names(user_id)
        check_count(limit, "limit", least=1)
        return await self._reading.page(user_id, limit, after)

    async def count_documents(self, user_id: str) -> int:
        check_names(user_id)
        return await self._reading.count(user_id)

    async def held_by(self, user_id: str) -> AsyncIterator[Sequence[str]]:
        async for ids in self._reading.held_by(user_id):
            yield ids

    async def keys(self, cursor: str | None = None) -> AsyncIterator[KeyPage[DocumentKey]]:
        async for page in keys(self._collections, self._holdings, cursor):
            yield page

    async def count(self) -> int:
        names = [name async for name, _ in collection_names(self._collections, self._holdings, Place())]
        return sum(await together(self._collections.named(name).count() for name in dict.fromkeys(names)))

    async def expired(self) -> AsyncIterator[Sequence[DocumentKey]]:
        async for gone in self._expiry.keys():
            yield gone

    async def remove_expired(self, keys: Sequence[DocumentKey]) -> int:
        removed = 0

        async def remove(changes: Sequence[DocumentChange]) -> None:
            nonlocal removed
            removed += await self._expiry.remove([change.key for change in changes])

        # To a writer it is a join: it keeps away from who is at work, and whoever comes then waits.
        await self._exclusion.join([DocumentChange(key=key, document=None) for key in keys], remove)
        return removed

    async def close(self) -> None:
        """Do nothing: no work goes on behind a call, and the client is for whoever made it to close."""

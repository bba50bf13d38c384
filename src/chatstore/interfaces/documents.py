"""What a document store can do: for an app, and for the router and the migrator behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Self, TypeAlias

from chatstore.errors import ConfigurationError
from chatstore.interfaces.journal import Journal
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
)
from chatstore.models.checks import (
    batch_of,
    check_document_command,
    check_document_ids,
    check_embedding,
    check_names,
    check_query,
)
from chatstore.models.filters import parse_filter
from chatstore.models.values import check_text

if TYPE_CHECKING:
    from chatstore.identity import UserToken

Embedder: TypeAlias = Callable[[Sequence[str]], Awaitable[Sequence[Embedding]]]
"""Turns texts into embeddings, one each, in the same order. The app brings it; chatstore downloads no model."""


class DocumentStore(ABC):
    """Documents with embeddings, as an app uses them.

    Every call names the user and sees that user's documents only. Each document is written in one atomic step; a batch
    is not one step. All errors are `ChatStoreError`s.

    Attributes:
        embedder: Makes the embeddings that a caller did not give; None where the app has none.
    """

    embedder: Embedder | None = None

    async def upsert(self, user_id: str, documents: NewDocument | Sequence[NewDocument]) -> list[Document]:
        """Write documents, new or over their older selves, and return them as stored, in the given order.

        Idempotent by id.

        Raises:
            ConfigurationError: A document has no embedding and the store has no embedder.
            InvalidRecordError: Two documents have one id, or a value is one that no side can hold.
            ConflictError: An id is taken by another user's document, where the backend shares ids among users.
        """
        batch = batch_of(documents, NewDocument, "documents")
        command = UpsertDocuments(user_id=user_id, documents=await self._embedded(batch))
        check_document_command(command)
        return list((await self.write(command)).documents)

    async def delete(self, user_id: str, ids: Sequence[str]) -> int:
        """Delete documents by id and return how many were there. Idempotent."""
        command = DeleteDocuments(user_id=user_id, ids=batch_of(ids, str, "document ids"))
        check_document_command(command)
        return len((await self.write(command)).changes)

    async def get_many(self, user_id: str, ids: Sequence[str]) -> list[Document]:
        """Return the user's documents of some ids, in the order of the ids.

        What `get` would not find is left out, and an id that is named twice counts once. Each document is as it was at
        one moment of the call; several of them may be of several moments.

        Args:
            user_id: Whose documents.
            ids: Which ones; at most 100,000. All that are found are held in memory at once.

        Raises:
            InvalidRecordError: One of the ids is none, or there are too many.
            ChatStoreError: One of the documents cannot be read, as `get` raises it: then none is returned.
        """
        check_names(user_id)
        wanted = tuple(dict.fromkeys(check_document_ids(batch_of(ids, str, "document ids"))))
        return await self.get_each(user_id, wanted) if wanted else []

    async def search(
        self, user_id: str, query: str | Embedding, *, k: int = 4, where: JsonObject | None = None
    ) -> list[Match]:
        """Return the user's `k` documents whose embeddings are most alike to the query's, best first.

        Args:
            user_id: Whose documents.
            query: A text, which the store's embedder embeds, or an embedding.
            k: At most how many.
            where: Only documents whose metadata fit: `{"field": value}`, `{"field": {"$gt": value}}` (also `$gte`,
                `$lt`, `$lte`, `$eq`, `$ne`, `$in`, `$nin`), `{"$and": [...]}`, `{"$or": [...]}`. Also on `title`
                and `url`.

        Raises:
            ConfigurationError: The query is a text and the store has no embedder.
            InvalidRecordError: The filter is malformed, or the query has another dimension than the documents.
        """
        check_names(user_id)
        check_query(k)
        if where is not None:
            parse_filter(where)
        embedding = query if isinstance(query, Embedding) else (await self._embed([query]))[0]
        check_embedding(embedding, "query's embedding")
        return await self.search_by_embedding(user_id, embedding, k=k, where=where)

    async def _embedded(self, documents: tuple[NewDocument, ...]) -> tuple[NewDocument, ...]:
        missing = [document.text for document in documents if document.embedding is None]
        if not missing:
            return documents
        made = iter(await self._embed(missing))
        return tuple(
            document if document.embedding is not None else replace(document, embedding=next(made))
            for document in documents
        )

    async def _embed(self, texts: Sequence[str]) -> Sequence[Embedding]:
        if self.embedder is None:
            raise ConfigurationError(
                "no embedder: give embeddings, or open the store with `embedder=`, a function from texts to embeddings"
            )
        for text in texts:
            check_text(text, "text")
        made = await self.embedder(texts)
        if len(made) != len(texts):
            raise ConfigurationError(
                f"the embedder made {len(made)} embeddings of {len(texts)} texts: it makes one each"
            )
        return made

    @abstractmethod
    async def write(self, command: DocumentCommand) -> DocumentsWritten:
        """Execute a command; the methods above are made of it.

        Raises:
            ConflictError: As `upsert` says.
            UnavailableError: The server did not answer; any part of the write may or may not have happened.
        """

    @abstractmethod
    async def search_by_embedding(
        self, user_id: str, embedding: Embedding, *, k: int, where: JsonObject | None
    ) -> list[Match]:
        """As `search`, with its arguments checked and the query embedded."""

    @abstractmethod
    async def get_each(self, user_id: str, ids: Sequence[str]) -> list[Document]:
        """As `get_many`, with its arguments checked: of one id or more, no two of which are the same."""

    @abstractmethod
    async def get(self, user_id: str, document_id: str) -> Document:
        """Return a document.

        Raises:
            NotFoundError: The user has no such document.
        """

    @abstractmethod
    async def list_documents(self, user_id: str, *, limit: int = 50, after: str | None = None) -> Page[Document]:
        """Return a user's documents, newest `updated_at` first (ties by id, descending), a page at a time.

        Args:
            user_id: Whose.
            limit: At most how many.
            after: The `next` of the page before, which any store may have given; None for the first.

        Raises:
            InvalidRecordError: `after` is not the `next` of a page.
        """

    @abstractmethod
    async def count_documents(self, user_id: str) -> int:
        """Return how many documents a user has."""

    def for_user(self, token: UserToken) -> Self:
        """Return this store for calls that are made with a user's own token, as `ChatHistoryStore.for_user` does."""
        del token
        return self

    @abstractmethod
    async def close(self) -> None:
        """Finish what is under way and free what the store holds. Clients that were passed in stay open."""


class DocumentSide(DocumentStore):
    """A document store that can be one side of a migration: what the router and the migrator need of a backend.

    Attributes:
        side: Which side it is; decides the parity of the versions that it gives.
        journal: Where its marks are.
        atomic: Whether it compares versions and writes in one step. Where it does not, a late write could undo a
            newer one, so marks of writes to it carry a lease and are cleared only when they stand alone. And calls of
            one store object on one key take turns, so that a process need not tell its own marks apart.
        notes: What this side never stored or does not hold exactly, a sentence each: a migration tells it once. Some of
            it is known after the first call only.
        space: Which data of its server this side is, where that may hold other data of the kind (a layout, a prefix): a
            cursor of `keys` says nothing of others.
    """

    side: Side
    journal: Journal
    atomic: bool

    @property
    def notes(self) -> tuple[str, ...]:
        return ()

    @property
    def space(self) -> str:
        return ""

    @abstractmethod
    async def write(self, command: DocumentCommand, marks: Sequence[Mark] = ()) -> DocumentsWritten:
        """As `DocumentStore.write`, with a mark for each of the command's ids, in their order (or none).

        An atomic side sets each mark in the step that writes its document; another one sets them all before.
        """

    @abstractmethod
    async def changes(self, keys: Sequence[DocumentKey]) -> ScanPage[DocumentChange]:
        """Return all that this side knows of some documents: the documents or their deletions; nothing for others.

        A document that has expired is left out.
        """

    @abstractmethod
    async def put(self, changes: Sequence[DocumentChange]) -> None:
        """Join changes into this side: of each, the newer state stays. Idempotent; few round trips for many.

        Raises:
            InvalidRecordError, ConflictError: This side cannot hold one of them; then any number of the others were
                joined. Halve the batch to find it.
            UnavailableError: The server did not answer; any number of them were joined.
        """

    async def outlines(self, keys: Sequence[DocumentKey]) -> ScanPage[DocumentChange]:
        """Return what `changes` does, for `lacking`, not for a `put`; what it costs is no embedding, where a side can.

        All of a document but its key, its times, its expiry and its version may be left out. Then one that cannot be
        read because of what is left out is not quarantined.
        """
        return await self.changes(keys)

    async def lacking(self, changes: Sequence[DocumentChange]) -> Sequence[DocumentChange]:
        """Return those of some changes by which a `put` would change anything here; what it costs is no embedding.

        The changes may be outlines.
        """
        return changes

    async def finds(self, document: Document) -> bool:
        """Return whether an index gives a document as one of the first ten for its own embedding.

        False says nothing: a search tells. This is for a side whose index tells it for less.

        Raises:
            InvalidRecordError, UnavailableError: The index, or the server, does not answer.
        """
        del document
        return False

    async def held(self, keys: Collection[DocumentKey]) -> Collection[DocumentKey]:
        """Return which of some documents are there; what it costs is no embedding and no text, where a side can."""
        page = await self.changes(tuple(keys))
        return {change.key for change in page.changes if change.document is not None}

    async def held_by(self, user_id: str) -> AsyncIterator[Sequence[str]]:
        """Yield the ids of all documents that this side holds of a user, some at a time; see `ChatSide.held_by`."""
        after: str | None = None
        while True:
            page = await self.list_documents(user_id, limit=500, after=after)
            yield [document.id for document in page.items]
            if (after := page.next) is None:
                return

    @abstractmethod
    def keys(self, cursor: str | None = None) -> AsyncIterator[KeyPage[DocumentKey]]:
        """Yield the keys of all documents, in bounded memory; those that are deleted or have expired may be left out.

        A document that is there from the beginning to the end comes at least once; one may come twice.

        Args:
            cursor: Where to go on: the cursor of a page that was yielded before.
        """

    async def scan(self, cursor: str | None = None) -> AsyncIterator[ScanPage[DocumentChange]]:
        """Yield every document that exists, in bounded memory; deleted and expired ones are left out.

        It is `keys` and `changes` in one: what those say of what comes, and comes twice, holds here.

        Args:
            cursor: Where to go on: the cursor of a page that was yielded before.
        """
        async for found in self.keys(cursor):
            page = await self.changes(found.keys)
            there = tuple(change for change in page.changes if change.document is not None)
            yield ScanPage(there, (*found.quarantined, *page.quarantined), found.cursor)

    @abstractmethod
    async def count(self) -> int:
        """Return how many documents this side holds; those that expired and are not swept yet may count."""

    async def estimate(self) -> int:
        """Return about how many documents this side holds, without looking at each: what a progress bar needs."""
        return await self.count()

    async def expired(self) -> AsyncIterator[Sequence[DocumentKey]]:
        """Yield the documents that have expired and are still held, some at a time, for `remove_expired`.

        Where the server removes by itself what has expired, there are none.
        """
        none: tuple[Sequence[DocumentKey], ...] = ()
        for keys in none:
            yield keys

    async def remove_expired(self, keys: Sequence[DocumentKey]) -> int:
        """Remove those of some documents that have expired, and return how many were; the join still knows of them.

        Where this side is not atomic, whoever calls this has announced it with a mark on each key, as before a `put`.

        Raises:
            BusyError: Some are being written all the time; the others were removed.
            UnavailableError: The server did not answer; any number of them were removed.
        """
        del keys
        return 0

    async def load(self) -> ServerLoad | None:
        """Return how busy the server is now; None where that cannot be told.

        It costs the server next to nothing, so that it may be asked twice a second beside anything else.

        Raises:
            UnavailableError: The server did not answer.
        """
        return None

"""What an app can do with documents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Self, TypeAlias

from chatstore.errors import ConfigurationError
from chatstore.models import (
    DeleteDocuments,
    Document,
    DocumentCommand,
    DocumentsWritten,
    Embedding,
    JsonObject,
    Match,
    NewDocument,
    Page,
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

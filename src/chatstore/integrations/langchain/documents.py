"""Documents for LangChain: a `VectorStore` over any document store.

    vectors = ChatstoreVectorStore(embedding, store=stores.documents, user_id="user-1")

It stands where `langchain_chroma.Chroma` or a Redis vector store stood. The interface:
https://python.langchain.com/api_reference/core/vectorstores.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from chatstore.errors import ConfigurationError
from chatstore.integrations.langchain.calls import batches, deleting, diverse, scored, searching, upserting
from chatstore.integrations.langchain.messages import MISSING
from chatstore.integrations.langchain.records import document_of, new_documents
from chatstore.integrations.named_user import check_user, documents_of
from chatstore.integrations.reach import Reach
from chatstore.interfaces import UserDocuments
from chatstore.models import Embedding, JsonObject

try:
    from langchain_core.documents import Document
    from langchain_core.vectorstores import VectorStore
except ImportError as error:
    raise ImportError(MISSING) from error

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

    from chatstore.integrations.named_user import AnyDocuments

__all__ = ["ChatstoreVectorStore"]


class ChatstoreVectorStore(VectorStore):
    """The documents of one user, as LangChain's.

    All errors are `ChatStoreError`s but those that LangChain's interface names (`ValueError` for lists of different
    lengths, `TypeError` for an argument that there is not). Nothing needs to be closed but the stores. Each document is
    written in one atomic step; several of them are not one step.

    Args:
        embedding: Makes the embeddings, of documents and of queries. None: the store's own embedder does it.
        store: A document store, the router of `chatstore.open()` for one; or a user's own,
            `stores.for_user(token).documents`; or the blocking facade of either, by which the blocking and the async
            methods can be used in any thread. Of an async store the async methods can be used; the blocking ones from
            other threads alone, and where this object was made, or used before, in the store's event loop.
        user_id: Whose documents. Left out where a token has said it already.

    Raises:
        ConfigurationError: There is no user, or there are two.
        InvalidRecordError: The user's id is none.
    """

    def __init__(self, embedding: Embeddings | None = None, *, store: AnyDocuments, user_id: str | None = None) -> None:
        check_user(store, user_id)
        self.user_id = user_id
        self._embedding = embedding
        self._reach = Reach[UserDocuments](store, partial(documents_of, user_id=user_id))

    @property
    def embeddings(self) -> Embeddings | None:
        """What makes the embeddings; None where the store's own embedder does."""
        return self._embedding

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Write texts as documents, new or over those that have the same ids, and return the ids in the same order.

        Args:
            texts: The texts.
            metadatas: A JSON object for each.
            ids: An id for each; new ones are made where there is None.
            batch_size: How many to embed and to write at a time; all at once when left out.
            **kwargs: There are none.

        Raises:
            ValueError: There are more or fewer metadatas, or ids, than texts; or `batch_size` is less than one.
            InvalidRecordError: Two ids are the same, or a value is one that no side can hold.
            ConfigurationError: There are no embeddings, and the store has no embedder.
        """
        _refuse(kwargs)
        news = new_documents(texts, metadatas, ids)
        for batch in batches(news, batch_size):
            self._reach.drive(upserting(batch, self._vectors([new.text for new in batch])))
        return [new.id for new in news]

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> list[str]:
        _refuse(kwargs)
        news = new_documents(texts, metadatas, ids)
        for batch in batches(news, batch_size):
            await self._reach.wait(upserting(batch, await self._avectors([new.text for new in batch])))
        return [new.id for new in news]

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Delete documents by id; ids that are not there are passed over. Returns True.

        Raises:
            InvalidRecordError: There are no ids: this does not delete everything that a user has.
        """
        _refuse(kwargs)
        self._reach.drive(deleting(ids))
        return True

    async def adelete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        _refuse(kwargs)
        await self._reach.wait(deleting(ids))
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return documents by id, in the order of the ids; those that are not there are left out."""
        return [document_of(stored) for stored in self._reach.drive(lambda own: own.get_many(ids))]

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        return [document_of(stored) for stored in await self._reach.wait(lambda own: own.get_many(ids))]

    def similarity_search(
        self,
        query: str,
        k: int = 4,
        filter: JsonObject | None = None,  # noqa: A002 - as LangChain's vector stores call it
        **kwargs: Any,
    ) -> list[Document]:
        """Return the `k` documents that are most alike to a text, best first.

        Args:
            query: The text.
            k: At most how many.
            filter: Only documents whose metadata fit: the `where` of `DocumentStore.search`, which is Chroma's.
            **kwargs: There are none.

        Raises:
            InvalidRecordError: The filter is malformed, or the embedding has another dimension than the documents'.
        """
        return [document for document, _ in self.similarity_search_with_score(query, k, filter, **kwargs)]

    async def asimilarity_search(
        self,
        query: str,
        k: int = 4,
        filter: JsonObject | None = None,  # noqa: A002
        **kwargs: Any,
    ) -> list[Document]:
        return [document for document, _ in await self.asimilarity_search_with_score(query, k, filter, **kwargs)]

    def similarity_search_with_score(
        self,
        query: str,
        k: int = 4,
        filter: JsonObject | None = None,  # noqa: A002
        **kwargs: Any,
    ) -> list[tuple[Document, float]]:
        """Return the `k` documents that are most alike to a text, best first, each with its cosine distance.

        It is 0 for the same direction, 1 for nothing in common, 2 for the opposite, as Chroma and Redis give it for
        collections and indexes by cosine. Arguments and errors are those of `similarity_search`.
        """
        _refuse(kwargs)
        return scored(self._reach.drive(searching(self._query(query), k, filter)))

    async def asimilarity_search_with_score(
        self,
        query: str,
        k: int = 4,
        filter: JsonObject | None = None,  # noqa: A002
        **kwargs: Any,
    ) -> list[tuple[Document, float]]:
        _refuse(kwargs)
        return scored(await self._reach.wait(searching(await self._aquery(query), k, filter)))

    def similarity_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        filter: JsonObject | None = None,  # noqa: A002
        **kwargs: Any,
    ) -> list[Document]:
        """Return the `k` documents that are most alike to an embedding, best first; see `similarity_search`."""
        _refuse(kwargs)
        return [document for document, _ in scored(self._reach.drive(searching(Embedding.of(embedding), k, filter)))]

    async def asimilarity_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        filter: JsonObject | None = None,  # noqa: A002
        **kwargs: Any,
    ) -> list[Document]:
        _refuse(kwargs)
        return [
            document for document, _ in scored(await self._reach.wait(searching(Embedding.of(embedding), k, filter)))
        ]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: JsonObject | None = None,  # noqa: A002
        **kwargs: Any,
    ) -> list[Document]:
        """Return `k` of the `fetch_k` documents that are most alike to a text, which differ from each other.

        Args:
            query: The text.
            k: At most how many.
            fetch_k: Of how many they are chosen.
            lambda_mult: 1 for the most alike to the text, 0 for the most different from each other.
            filter: As of `similarity_search`.
            **kwargs: There are none.

        Raises:
            ConfigurationError: This was made without `embedding`.
        """
        vector = self._given.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(vector, k, fetch_k, lambda_mult, filter, **kwargs)

    async def amax_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: JsonObject | None = None,  # noqa: A002
        **kwargs: Any,
    ) -> list[Document]:
        vector = await self._given.aembed_query(query)
        return await self.amax_marginal_relevance_search_by_vector(vector, k, fetch_k, lambda_mult, filter, **kwargs)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: JsonObject | None = None,  # noqa: A002
        **kwargs: Any,
    ) -> list[Document]:
        """As `max_marginal_relevance_search`, by an embedding."""
        _refuse(kwargs)
        query = Embedding.of(embedding)
        return diverse(self._reach.drive(searching(query, fetch_k, filter)), query, k, lambda_mult)

    async def amax_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: JsonObject | None = None,  # noqa: A002
        **kwargs: Any,
    ) -> list[Document]:
        _refuse(kwargs)
        query = Embedding.of(embedding)
        return diverse(await self._reach.wait(searching(query, fetch_k, filter)), query, k, lambda_mult)

    @classmethod
    def from_texts(  # type: ignore[override] # a store is needed
        cls,
        texts: list[str],
        embedding: Embeddings | None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        store: AnyDocuments,
        user_id: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Write texts as documents of a store, and return it; see the class and `add_texts`."""
        made = cls(embedding, store=store, user_id=user_id)
        made.add_texts(texts, metadatas, ids=ids, **kwargs)
        return made

    @classmethod
    async def afrom_texts(  # type: ignore[override]
        cls,
        texts: list[str],
        embedding: Embeddings | None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        store: AnyDocuments,
        user_id: str | None = None,
        **kwargs: Any,
    ) -> Self:
        made = cls(embedding, store=store, user_id=user_id)
        await made.aadd_texts(texts, metadatas, ids=ids, **kwargs)
        return made

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        # From 0 to 1, as LangChain asks for: what is turned away from a query is no less relevant than what has nothing
        # in common with it.
        return lambda distance: min(1.0, max(0.0, 1.0 - distance))

    @property
    def _given(self) -> Embeddings:
        if self._embedding is None:
            raise ConfigurationError("to search for what differs, give the vector store its `embedding`")
        return self._embedding

    def _vectors(self, texts: list[str]) -> list[list[float]] | None:
        return None if self._embedding is None else self._embedding.embed_documents(texts)

    async def _avectors(self, texts: list[str]) -> list[list[float]] | None:
        return None if self._embedding is None else await self._embedding.aembed_documents(texts)

    def _query(self, text: str) -> str | Embedding:
        return text if self._embedding is None else Embedding.of(self._embedding.embed_query(text))

    async def _aquery(self, text: str) -> str | Embedding:
        return text if self._embedding is None else Embedding.of(await self._embedding.aembed_query(text))


def _refuse(others: Mapping[str, Any]) -> None:
    if others:
        raise TypeError(f"there is no argument {', '.join(sorted(others))}: chatstore would have to pass over it")

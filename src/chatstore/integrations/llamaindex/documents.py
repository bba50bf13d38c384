"""Documents for LlamaIndex: a vector store over any document store.

    store = ChatstoreVectorStore(stores.documents, user_id="user-1")
    index = VectorStoreIndex.from_vector_store(store, embed_model=embed_model)

A node is a document as chatstore reads it from LlamaIndex's own `RedisVectorStore` (the layout `llamaindex`): it comes
back with its relationships, on either side and at every stage.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from chatstore.errors import InvalidRecordError, UnsupportedError
from chatstore.integrations.llamaindex.messages import MISSING
from chatstore.integrations.named_user import check_user, documents_of
from chatstore.integrations.reach import Reach
from chatstore.interfaces import UserDocuments
from chatstore.models import Document, Embedding, JsonObject, Match
from chatstore.models.filters import parse_filter

try:
    from llama_index.core.bridge.pydantic import PrivateAttr
    from llama_index.core.schema import BaseNode
    from llama_index.core.vector_stores.types import (
        BasePydanticVectorStore,
        MetadataFilters,
        VectorStoreQuery,
        VectorStoreQueryMode,
        VectorStoreQueryResult,
    )

    from chatstore.integrations.llamaindex.filters import where_of
    from chatstore.integrations.llamaindex.nodes import new_document, node_of
except ImportError as error:
    raise ImportError(MISSING) from error

if TYPE_CHECKING:
    from chatstore.integrations.named_user import AnyDocuments

__all__ = ["ChatstoreVectorStore"]

R = TypeVar("R")

_BATCH = 500


class ChatstoreVectorStore(BasePydanticVectorStore):
    """The documents of one user, as LlamaIndex's vector store.

    All errors are `ChatStoreError`s. Nothing needs to be closed but the stores. Each node is written in one atomic
    step; several of them are not one step.

    Args:
        documents: A document store, the router of `chatstore.open()` for one; or a user's own,
            `stores.for_user(token).documents`; or the blocking facade of either, by which the blocking and the async
            methods can be used in any thread. Of an async store the async methods can be used; the blocking ones from
            other threads alone, and where this object was made, or used before, in the store's event loop.
        user_id: Whose documents. Left out where a token has said it already.

    Raises:
        ConfigurationError: There is no user, or there are two.
        InvalidRecordError: The user's id is none.
    """

    stores_text: bool = True
    flat_metadata: bool = False

    _documents: Any = PrivateAttr()
    _reach: Reach[UserDocuments] = PrivateAttr()

    def __init__(self, documents: AnyDocuments, *, user_id: str | None = None) -> None:
        check_user(documents, user_id)
        super().__init__(stores_text=True)
        self._documents = documents
        self._reach = Reach[UserDocuments](documents, partial(documents_of, user_id=user_id))

    @classmethod
    def class_name(cls) -> str:
        return "ChatstoreVectorStore"

    @property
    def client(self) -> AnyDocuments:
        """The document store that was given."""
        given: AnyDocuments = self._documents
        return given

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Write nodes, new or over those that have the same ids, and return the ids in the same order.

        Args:
            nodes: The nodes. Those without an embedding are embedded by the store's embedder.
            **kwargs: There are none.

        Raises:
            InvalidRecordError: Two ids are the same, or a value is one that no side can hold.
            ConfigurationError: A node has no embedding, and the store has no embedder.
        """
        return self._reach.drive(_adding(nodes, kwargs))

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        return await self._reach.wait(_adding(nodes, kwargs))

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete the nodes that are parts of a document, by its id. All of the user's nodes are read to find them."""
        self._reach.drive(_deleting_parts(ref_doc_id, delete_kwargs))

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        await self._reach.wait(_deleting_parts(ref_doc_id, delete_kwargs))

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """Return nodes, with their embeddings: by id, in that order, those that fit filters, or both.

        Without ids, all of the user's nodes are read, the last written one first.

        Raises:
            UnsupportedError: A filter is one that no side has.
        """
        return self._reach.drive(_getting(node_ids, filters))

    async def aget_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        return await self._reach.wait(_getting(node_ids, filters))

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Delete nodes by id, those that fit filters, or those that are both.

        Raises:
            InvalidRecordError: There are neither ids nor filters: `clear` deletes all.
            UnsupportedError: A filter is one that no side has.
        """
        self._reach.drive(_deleting(node_ids, filters, delete_kwargs))

    async def adelete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        await self._reach.wait(_deleting(node_ids, filters, delete_kwargs))

    def clear(self) -> None:
        """Delete all documents of the user that are there when it begins, whoever wrote them."""
        self._reach.drive(_clear)

    async def aclear(self) -> None:
        await self._reach.wait(_clear)

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Return the nodes that are most alike to a query, best first, each with its cosine similarity.

        Args:
            query: Its `query_embedding`, or else its `query_str`, which the store's embedder embeds;
                `similarity_top_k`, and `filters`.
            **kwargs: There are none.

        Raises:
            UnsupportedError: The query asks for what cannot be done on every side: another mode than the default, only
                some nodes or documents by id, or a filter that no side has.
            InvalidRecordError: It has neither an embedding nor a text, or another dimension than the documents.
        """
        return self._reach.drive(_querying(query, kwargs))

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        return await self._reach.wait(_querying(query, kwargs))


def _adding(nodes: Sequence[BaseNode], kwargs: dict[str, Any]) -> Callable[[UserDocuments], Awaitable[list[str]]]:
    _refuse(kwargs)
    news = [new_document(node) for node in nodes]

    async def call(documents: UserDocuments) -> list[str]:
        if news:
            await documents.upsert(news)
        return [new.id for new in news]

    return call


def _deleting_parts(ref_doc_id: str, kwargs: dict[str, Any]) -> Callable[[UserDocuments], Awaitable[None]]:
    _refuse(kwargs)

    async def call(documents: UserDocuments) -> None:
        def part(found: Document) -> str | None:
            return found.id if node_of(found).ref_doc_id == ref_doc_id else None

        await _delete(documents, await _each(documents, part))

    return call


def _getting(
    node_ids: list[str] | None, filters: MetadataFilters | None
) -> Callable[[UserDocuments], Awaitable[list[BaseNode]]]:
    where = where_of(filters)

    async def call(documents: UserDocuments) -> list[BaseNode]:
        return await _chosen(documents, node_ids, where, node_of)

    return call


def _deleting(
    node_ids: list[str] | None, filters: MetadataFilters | None, kwargs: dict[str, Any]
) -> Callable[[UserDocuments], Awaitable[None]]:
    _refuse(kwargs)
    where = where_of(filters)
    if node_ids is None and where is None:
        raise InvalidRecordError("neither ids nor filters say which nodes to delete: give some, or call `clear`")

    async def call(documents: UserDocuments) -> None:
        if node_ids is not None and where is None:
            await _delete(documents, node_ids)
        else:
            await _delete(documents, await _chosen(documents, node_ids, where, _id_of))

    return call


async def _clear(documents: UserDocuments) -> None:
    await _delete(documents, await _each(documents, _id_of))


def _querying(
    query: VectorStoreQuery, kwargs: dict[str, Any]
) -> Callable[[UserDocuments], Awaitable[VectorStoreQueryResult]]:
    _refuse(kwargs)
    if query.mode is not VectorStoreQueryMode.DEFAULT:
        raise UnsupportedError(f"a query of the mode {query.mode.value!r} cannot be made: only the default one can")
    if query.doc_ids or query.node_ids:  # an index that keeps no nodes itself gives empty lists
        raise UnsupportedError("a query among some ids cannot be made: filter by metadata, or use `get_nodes`")
    where = where_of(query.filters)
    wanted: str | Embedding
    if query.query_embedding is not None:
        wanted = Embedding.of(query.query_embedding)
    elif query.query_str is not None:
        wanted = query.query_str
    else:
        raise InvalidRecordError("the query has neither an embedding nor a text")

    async def call(documents: UserDocuments) -> VectorStoreQueryResult:
        return _result(await documents.search(wanted, k=query.similarity_top_k, where=where))

    return call


def _result(matches: Sequence[Match]) -> VectorStoreQueryResult:
    return VectorStoreQueryResult(
        nodes=[node_of(match.document) for match in matches],
        similarities=[match.score for match in matches],
        ids=[match.document.id for match in matches],
    )


async def _chosen(
    documents: UserDocuments, node_ids: Sequence[str] | None, where: JsonObject | None, take: Callable[[Document], R]
) -> list[R]:
    """Return what is taken of the documents by id, of those that fit, or of those that are both."""
    fits = None if where is None else parse_filter(where)

    def fitting(found: Document) -> R | None:
        if fits is None or fits.matches({**found.metadata, "title": found.title, "url": found.url}):
            return take(found)
        return None

    if node_ids is None:
        return await _each(documents, fitting)
    taken, ids = list[R | None](), list(dict.fromkeys(node_ids))
    for start in range(0, len(ids), _BATCH):
        taken += map(fitting, await documents.get_many(ids[start : start + _BATCH]))
    return [value for value in taken if value is not None]


async def _each(documents: UserDocuments, take: Callable[[Document], R | None]) -> list[R]:
    """Return what is taken of all documents, a page in memory at a time, without what is None."""
    taken: dict[str, R | None] = {}  # one that is written meanwhile may come twice
    after = None
    while True:
        page = await documents.list_documents(limit=_BATCH, after=after)
        taken |= {found.id: take(found) for found in page.items}
        if (after := page.next) is None:
            return [value for value in taken.values() if value is not None]


def _id_of(document: Document) -> str:
    return document.id


async def _delete(documents: UserDocuments, ids: Sequence[str]) -> None:
    for start in range(0, len(ids), _BATCH):
        await documents.delete(ids[start : start + _BATCH])


def _refuse(kwargs: dict[str, Any]) -> None:
    if kwargs:
        raise UnsupportedError(f"there is no argument {', '.join(map(repr, kwargs))}: leave it out")

"""LangGraph's store of long-term memory, kept by chatstore among the documents.

    store = ChatstoreStore(stores.documents, user_id="user-1")
    await store.aput(("memories",), "tea", {"text": "likes green tea"})
    found = await store.asearch(("memories",), query="what to drink?")

An item is a document of the user's, whose embedding the store's embedder makes. `BaseStore` is the interface:
https://reference.langchain.com/python/langgraph/store/
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from chatstore.errors import ConfigurationError, InvalidRecordError
from chatstore.integrations.langgraph.items import (
    document_id,
    found_item,
    is_item,
    item_of,
    matched,
    namespace_of,
    namespaces_for,
    new_document,
    where_of,
)
from chatstore.integrations.named_user import check_user, documents_of
from chatstore.integrations.reach import Reach
from chatstore.interfaces import UserDocuments
from chatstore.models import Document
from chatstore.models.filters import parse_filter

try:
    from langgraph.store.base import BaseStore, GetOp, ListNamespacesOp, Op, PutOp, Result, SearchItem, SearchOp
except ImportError as missing:
    raise ImportError("the store of LangGraph needs its package: pip install 'chatstore[langgraph]'") from missing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chatstore.integrations.named_user import AnyDocuments

__all__ = ["ChatstoreStore"]

R = TypeVar("R")

_PAGE = 200


class ChatstoreStore(BaseStore):
    """The items of one user, as LangGraph's nodes and tools have them.

    All errors are `ChatStoreError`s but those of LangGraph's own checks (of a namespace, of `ttl`). Each item is
    written in one atomic step; several of them are not one step. In a batch, what reads comes before what writes.

    A search without a query, and `list_namespaces`, page through all documents of the user.

    Args:
        documents: The document store, which was opened with an `embedder`; or one user's, as `stores.for_user(token)`
            gives it. Both may be the blocking ones: then all methods can be used in any thread. Of an async store the
            async methods can be used, and the blocking ones from other threads, where this was made in the store's
            event loop.
        user_id: Whose items. Left out where a token has said it already.
        fields: Which parts of a value are embedded, where `put` does not say; all of it when left out.

    Raises:
        ConfigurationError: There is no user, or there are two.
        InvalidRecordError: The user's id is none.
    """

    __slots__ = ("_fields", "_reach", "_user_id")

    def __init__(self, documents: AnyDocuments, *, user_id: str | None = None, fields: Sequence[str] = ("$",)) -> None:
        if isinstance(fields, str):
            raise ConfigurationError('the fields are one text: give a list, as in ["text"]')
        check_user(documents, user_id)
        self._user_id = user_id
        self._fields = tuple(fields)
        self._reach: Reach[UserDocuments] = Reach(documents, self._part)

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        return await self._reach.wait(self._doing(list(ops)))

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        return self._reach.drive(self._doing(list(ops)))

    def _part(self, documents: UserDocuments) -> UserDocuments:
        return documents_of(documents, self._user_id)

    def _doing(self, ops: Sequence[Op]) -> Callable[[UserDocuments], Awaitable[list[Result]]]:
        async def do(documents: UserDocuments) -> list[Result]:
            user_id = self._user_id or documents._token.user_id  # noqa: SLF001 - what a token opened has one
            gets = {
                place: document_id(user_id, op.namespace, op.key)
                for place, op in enumerate(ops)
                if isinstance(op, GetOp)
            }
            got = {document.id: document for document in await documents.get_many(list(gets.values()))}
            results: list[Result] = []
            for place, op in enumerate(ops):
                if isinstance(op, GetOp):
                    document = got.get(gets[place])
                    results.append(None if document is None else item_of(document))
                elif isinstance(op, SearchOp):
                    results.append(await _search(documents, op))
                elif isinstance(op, ListNamespacesOp):
                    found = {namespace_of(document) async for document in _items(documents)}
                    results.append(namespaces_for(found, op))
                elif isinstance(op, PutOp):
                    results.append(None)
                else:
                    raise InvalidRecordError(f"there is no operation {type(op).__name__} of a store")
            await self._write(documents, user_id, [op for op in ops if isinstance(op, PutOp)])
            return results

        return do

    async def _write(self, documents: UserDocuments, user_id: str, puts: Sequence[PutOp]) -> None:
        last = {document_id(user_id, op.namespace, op.key): op for op in puts}
        new = [new_document(user_id, op, self._fields) for op in last.values() if op.value is not None]
        if new:
            await documents.upsert(new)
        if gone := [name for name, op in last.items() if op.value is None]:
            await documents.delete(gone)


async def _search(documents: UserDocuments, op: SearchOp) -> list[SearchItem]:
    where = where_of(op.namespace_prefix, op.filter, indexed=op.query is not None)
    if op.limit <= 0:
        return []
    end = op.offset + op.limit
    if op.query is not None:
        return [matched(match) for match in (await documents.search(op.query, k=end, where=where))[op.offset :]]
    wanted, found = parse_filter(where), list[SearchItem]()
    async for document in _items(documents):
        if wanted.matches(document.metadata):
            found.append(found_item(document, None))
            if len(found) >= end:
                break
    return found[op.offset :]


async def _items(documents: UserDocuments) -> AsyncIterator[Document]:
    after = None
    while True:
        page = await documents.list_documents(limit=_PAGE, after=after)
        for document in page.items:
            if is_item(document):
                yield document
        if (after := page.next) is None:
            return

"""What `ChatstoreVectorStore` asks of a user's documents, as coroutine functions, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, TypeVar

import numpy as np

from chatstore.errors import InvalidRecordError
from chatstore.integrations.langchain.messages import MISSING
from chatstore.integrations.langchain.records import document_of, embeddings_of
from chatstore.interfaces import UserDocuments
from chatstore.models import Embedding, JsonObject, Match, NewDocument

try:
    from langchain_core.documents import Document
    from langchain_core.vectorstores.utils import maximal_marginal_relevance
except ImportError as error:
    raise ImportError(MISSING) from error

R = TypeVar("R")

Call: TypeAlias = Callable[[UserDocuments], Awaitable[R]]


def upserting(news: Sequence[NewDocument], vectors: Sequence[Sequence[float]] | None) -> Call[None]:
    """Write documents, with these embeddings; without any, with those that the store's embedder makes."""
    if vectors is not None:
        made = embeddings_of(vectors, len(news))
        news = [replace(new, embedding=embedding) for new, embedding in zip(news, made, strict=True)]

    async def upsert(documents: UserDocuments) -> None:
        await documents.upsert(news)

    return upsert


def deleting(ids: Sequence[str] | None) -> Call[None]:
    """Delete documents.

    Raises:
        InvalidRecordError: None are named.
    """
    if ids is None:
        raise InvalidRecordError(
            "without ids all documents of the user would be deleted: name them, or use `stores.forget(user)`"
        )

    async def delete(documents: UserDocuments) -> None:
        if ids:
            await documents.delete(ids)

    return delete


def searching(query: str | Embedding, k: int, where: JsonObject | None) -> Call[list[Match]]:
    """Search.

    Raises:
        InvalidRecordError: The filter is no object.
    """
    if where is not None and not isinstance(where, Mapping):
        raise InvalidRecordError(
            f"the filter is of the type {type(where).__name__}: give an object, as in "
            '{"topic": "tea"} or {"year": {"$gte": 2020}}'
        )

    async def search(documents: UserDocuments) -> list[Match]:
        return await documents.search(query, k=k, where=where)

    return search


def batches(news: Sequence[NewDocument], size: int | None) -> Iterator[Sequence[NewDocument]]:
    """Yield documents so many at a time; all of them where `size` is None, and nothing where there are none.

    Raises:
        ValueError: The size is less than one.
    """
    if size is not None and size < 1:
        raise ValueError(f"batch_size is {size}: it is how many documents to write at a time, one or more")
    for start in range(0, len(news), size or len(news) or 1):
        yield news[start : start + (size or len(news))]


def scored(matches: Sequence[Match]) -> list[tuple[Document, float]]:
    """Return matches as LangChain's, each with its cosine distance."""
    return [(document_of(match.document), 1.0 - match.score) for match in matches]


def diverse(matches: Sequence[Match], query: Embedding, k: int, lambda_mult: float) -> list[Document]:
    """Return those of some matches that are alike to the query and differ from each other."""
    found = [(match.document, vector) for match in matches if (vector := match.document.embedding) is not None]
    vectors = [list(vector) for _, vector in found]
    chosen = maximal_marginal_relevance(np.array(list(query), np.float32), vectors, lambda_mult, k)
    return [document_of(found[index][0]) for index in chosen]

"""What an app's user reads: one document, a list, a search, a count."""

from __future__ import annotations

import heapq
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from chatstore.chroma.collection import BATCH, IDS, METADATA, WHOLE
from chatstore.chroma.filters import Where, where_of
from chatstore.chroma.holdings import Holdings, together
from chatstore.chroma.metadata import EXPIRES, UPDATED, USER, is_expired
from chatstore.chroma.records import Record, vector_of
from chatstore.chroma.search import Search, cosines
from chatstore.chroma.walk import walk
from chatstore.errors import InvalidRecordError, NotFoundError
from chatstore.models import Document, DocumentKey, Embedding, JsonObject, Match, Page, from_micros, to_micros
from chatstore.models.filters import Filter, parse_filter
from chatstore.models.paging import parse_place, place_behind

_NEAREST = 10
_APART = 0.002

_logger = logging.getLogger(__name__)


class Reading:
    """The reads of `DocumentStore`. None of them sees another user's documents, or those that have expired.

    Args:
        holdings: What there is to read.
        now: What time it is.
    """

    def __init__(self, holdings: Holdings, now: Callable[[], datetime]) -> None:
        self._holdings = holdings
        self._now = now

    async def get(self, user_id: str, document_id: str) -> Document:
        """Return a document, as `DocumentStore.get` says."""
        for document in await self.get_each(user_id, [document_id]):
            return document
        raise NotFoundError(f"there is no document {document_id!r} of this user")

    async def get_each(self, user_id: str, ids: Sequence[str]) -> list[Document]:
        """Return documents in the order of their ids, as `DocumentStore.get_each` says."""
        places = {self._holdings.plan.record_id(DocumentKey(user_id, name)): place for place, name in enumerate(ids)}
        collection = self._holdings.of_user(user_id)
        records = await collection.get(list(places), parts=WHOLE)
        seen = sorted((record for record in records if self.sees(user_id, record)), key=lambda one: places[one.id])
        return [self._holdings.decode(record, collection.name) for record in seen]

    async def search(self, user_id: str, embedding: Embedding, k: int, where: JsonObject | None) -> list[Match]:
        """Return the documents that are most alike, as `DocumentStore.search` says."""
        wanted = None if where is None else parse_filter(where)
        collection = self._holdings.of_user(user_id)

        def found(record: Record) -> Document | None:
            return self._found(user_id, record, collection.name, wanted)

        search = Search(
            collection,
            embedding,
            k,
            where=where_of(wanted, self._scope(user_id)),
            admits=lambda record: found(record) is not None,
        )
        # The texts are fetched of the best only, and all else again with them, so that each document is of one piece.
        whole = await collection.get(await search.best(), parts=WHOLE)
        documents = [document for record in whole if (document := found(record)) is not None]
        scores = cosines([doc.embedding for doc in documents if doc.embedding is not None], embedding)
        return sorted(map(Match, documents, scores), key=lambda match: (-match.score, match.document.id))

    async def finds(self, document: Document) -> bool:
        """Return whether the index has a document among the nearest to its embedding, as `DocumentSide.finds` says."""
        if document.embedding is None:
            return False
        vector = vector_of(document.embedding)
        record_id = self._holdings.plan.record_id(document.key)
        [near] = await self._holdings.of_user(document.user_id).query(
            [vector], count=_NEAREST, where=self._scope(document.user_id), parts=IDS
        )
        # Chroma tells the square of a distance; two vectors of one length and a cosine of 0.999 are this far apart.
        most = _APART * float(np.square(vector, dtype=np.float64).sum())
        return any(record.id == record_id and distance <= most for record, distance in near)

    async def page(self, user_id: str, limit: int, after: str | None) -> Page[Document]:
        """Return a page of the user's documents, as `DocumentStore.list_documents` says.

        Chroma cannot sort: this reads the metadata of all the user's documents, some 20,000 a second, to find which
        ones are on the page.
        """
        plan = self._holdings.plan
        behind = None
        if after is not None:
            micros, document_id = parse_place(after)
            behind = (micros, plan.record_id(DocumentKey(user_id, document_id)))
        newest: list[tuple[int, str]] = []
        async for records in self._records(user_id, METADATA):
            recencies = {_recency(record) for record in records if self.sees(user_id, record)}
            # As a set: a page of records may repeat what the one before it had.
            candidates = {recency for recency in recencies if behind is None or recency < behind}.union(newest)
            newest = heapq.nlargest(limit + 1, candidates)
        shown = newest[:limit]
        collection = self._holdings.of_user(user_id)
        whole = await collection.get([record_id for _, record_id in shown], parts=WHOLE)
        documents = [doc for record in whole if (doc := self._found(user_id, record, collection.name, None))]
        following = None
        if len(newest) > limit:
            micros, record_id = shown[-1]
            following = place_behind(from_micros(micros), plan.document_id(record_id))
        return Page(tuple(sorted(documents, key=lambda doc: (doc.updated_at, doc.id), reverse=True)), following)

    async def count(self, user_id: str) -> int:
        """Return how many documents the user has; in a shared collection, by reading their ids."""
        expired = {EXPIRES: {"$lte": to_micros(self._now())}}
        scope = self._scope(user_id)
        collection = self._holdings.of_user(user_id)
        if scope is None:
            held, gone = await together([collection.count(), self._count_of(user_id, expired)])
        else:
            held, gone = await together(
                [self._count_of(user_id, scope), self._count_of(user_id, {"$and": [scope, expired]})]
            )
        return held - gone

    async def held_by(self, user_id: str) -> AsyncIterator[list[str]]:
        """Yield the ids of all documents that are held of the user, as `DocumentSide.held_by` says."""
        async for records in self._records(user_id, METADATA):
            mine = [record for record in records if record.metadata.get(USER, user_id) == user_id]
            yield [self._holdings.plan.document_id(record.id) for record in mine]

    def sees(self, user_id: str, record: Record) -> bool:
        """Return whether a record is this user's and has not expired."""
        return not is_expired(record, self._now()) and record.metadata.get(USER, user_id) == user_id

    def _found(self, user_id: str, record: Record, collection: str, wanted: Filter | None) -> Document | None:
        """Return a record's document if the user sees it and it fits."""
        if not self.sees(user_id, record):
            return None
        try:
            document = self._holdings.decode(record, collection)
        except InvalidRecordError as error:
            # One that cannot be read must not hide the others. `get`, and every verify, says what is wrong with it.
            _logger.warning("left out of what a user is shown: %s", error)
            return None
        # Asked of the document, too: its record may hold a field that does not count; see `metadata`.
        fields = {**document.metadata, "title": document.title, "url": document.url}
        return document if wanted is None or wanted.matches(fields) else None

    def _scope(self, user_id: str) -> Where | None:
        """Return what keeps a read of a shared collection with its user; a user's own needs nothing."""
        return {USER: user_id} if self._holdings.plan.shared else None

    async def _count_of(self, user_id: str, where: Mapping[str, Any]) -> int:
        ids: set[str] = set()
        async for records in self._records(user_id, IDS, where):
            ids.update(record.id for record in records)
        return len(ids)

    async def _records(
        self, user_id: str, parts: tuple[str, ...], where: Where | None = None
    ) -> AsyncIterator[list[Record]]:
        """Yield the user's records, in pages; some may come twice."""
        collection = self._holdings.of_user(user_id)
        narrowed = self._scope(user_id) if where is None else where

        async def fetch(limit: int, offset: int) -> list[Record]:
            return await collection.get(where=narrowed, parts=parts, limit=limit, offset=offset)

        async for stretch in walk(fetch, lambda record: record.id, size=BATCH):
            yield list(stretch.items)


def _recency(record: Record) -> tuple[int, str]:
    updated = record.metadata.get(UPDATED)
    return (updated if isinstance(updated, int) else 0, record.id)

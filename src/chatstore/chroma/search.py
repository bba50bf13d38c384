"""Ranking by cosine similarity over a collection that is indexed by Euclidean distance.

Chroma's own `cosine` distance normalises embeddings as it stores them, and they must come back as they were. Among
vectors of one length both distances rank alike, and most embedding models make such. For others Chroma's nearest are
candidates: near to the query when that is made about as long as they are, once for each of a few lengths. They are
ranked anew here, and more are asked for until no other document can be more alike.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from chatstore.chroma.collection import BATCH, IDS, Collection, Lengths
from chatstore.chroma.lengths import lengths_of, scales
from chatstore.chroma.records import Record, vector_of
from chatstore.chroma.walk import walk
from chatstore.models import Embedding

_FIRST = 32
_GROWTH = 4
_ENOUGH = 512
_MOST = 10_000
_OFTEN = 4  # So often the looks from several lengths may give the same record.
_PIECES = 4
_PARTS = ("metadatas", "embeddings")
_ROUNDING = 1e-6
_FLOAT32_MAX = float(np.finfo(np.float32).max)

Admits = Callable[[Record], bool]


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for, and where.

    Attributes:
        collection: Where to look.
        query: What to look for.
        k: At most how many to return.
        where: What Chroma filters by.
        admits: What else a record, known by its metadata and its embedding, must fulfil.
    """

    collection: Collection
    query: Embedding
    k: int
    where: Mapping[str, Any] | None
    admits: Admits

    async def best(self) -> list[str]:
        """Return the ids of the `k` records that are most alike to the query, best first; equal ones by id.

        That is among those which Chroma's index finds, and it finds approximately. Where the embeddings have different
        lengths and the candidates still do not decide, the best of at least 512 (or eight times `k`) are taken.

        Raises:
            InvalidRecordError: The records' embeddings have another dimension.
        """
        count, enough, most = max(_FIRST, 2 * self.k), max(_ENOUGH, 8 * self.k), max(_MOST, 8 * self.k)
        while True:
            vectors = [_scaled(self.query, scale) for scale in scales(self.collection.lengths)]
            answers, lengths = await asyncio.gather(
                self.collection.query(vectors, count=count, where=self.where, parts=_PARTS),
                lengths_of(self.collection),
            )
            found = {record.id: record for answer in answers for record, _ in answer}
            best = self._ranked(found.values())
            if any(len(answer) < count for answer in answers):
                return await self._exhaustively() if await self._are_more_than(len(found)) else _ids(best)
            if len(scales(lengths)) > len(vectors):
                continue  # Only now it is known how different their lengths are.
            looks = [_Look(vector, answer[-1][1]) for vector, answer in zip(vectors, answers, strict=True)]
            looked_at = max(len(found), count * len(vectors) // _OFTEN)
            if len(best) == self.k:
                if -best[-1][0] >= _bound(looks, lengths):
                    return _ids(best)
                if looked_at >= enough:
                    few = len(found) < enough and not await self._are_more_than(enough)
                    return await self._exhaustively() if few else _ids(best)
            elif count >= most:
                # So many that are near are not admitted: expired ones that nobody swept, say.
                return await self._exhaustively()
            count = min(count * _GROWTH, most)

    def _ranked(self, records: Iterable[Record]) -> list[tuple[float, str]]:
        """Return the best, each as its score, negated, and its id: in the order in which they sort."""
        admitted = [record for record in records if record.embedding is not None and self.admits(record)]
        scores = cosines([record.embedding for record in admitted if record.embedding is not None], self.query)
        return heapq.nsmallest(self.k, ((-score, record.id) for record, score in zip(admitted, scores, strict=True)))

    async def _are_more_than(self, count: int) -> bool:
        return len(await self.collection.get(where=self.where, parts=IDS, limit=count + 1)) > count

    async def _exhaustively(self) -> list[str]:
        """Look at every record, because the index, asked for all, gave fewer than there are.

        It is a graph of which parts may be out of reach, as those behind many equal embeddings; and it was seen to lose
        records at a restart (chroma-core/chroma#7090).
        """
        best: list[tuple[float, str]] = []

        async def fetch(limit: int, offset: int) -> list[Record]:
            return await self.collection.get(where=self.where, parts=_PARTS, limit=limit, offset=offset)

        async for stretch in walk(fetch, lambda record: record.id, size=BATCH):
            best = heapq.nsmallest(self.k, {*best, *self._ranked(stretch.items)})
        return _ids(best)


def cosines(embeddings: Sequence[Embedding], query: Embedding) -> list[float]:
    """Return the cosine similarity of each embedding to the query; 0 where one of the two is all zero."""
    if not embeddings:
        return []
    rows = np.stack([vector_of(embedding) for embedding in embeddings]).astype(np.float64)
    wanted = vector_of(query).astype(np.float64)
    # Summed row by row, so that equal embeddings get equal scores; a matrix product may differ in the last bit.
    products = (rows * wanted).sum(axis=1)
    lengths = np.sqrt((rows * rows).sum(axis=1)) * math.sqrt(float((wanted * wanted).sum()))
    return [float(score) for score in np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)]


class _Look(NamedTuple):
    """A query that Chroma was asked, and how far (squared) the last record lies that it gave."""

    vector: Any
    squared_distance: float


def _bound(looks: Sequence[_Look], lengths: Lengths | None) -> float:
    """Return what cosine a record that no look returned can have at most.

    A vector of length n lies `q² + n² - 2·q·n·cosine` from a query of length q (squared), and all that were not
    returned lie at least as far as the last one that was. Between two lengths the bound is highest at one of the two.
    """
    queries = np.array([np.linalg.norm(look.vector.astype(np.float64)) for look in looks])[:, None]
    squared = np.array([look.squared_distance for look in looks])[:, None]
    if lengths is None or not np.isfinite(squared).all() or not queries.all():
        return math.inf
    ends = np.geomspace(lengths.least, lengths.most, _PIECES * len(looks) + 1)
    at_ends = (queries**2 + ends**2 - squared) / (2 * queries * ends)
    return float(np.maximum(at_ends[:, :-1], at_ends[:, 1:]).min(axis=0).max()) - _ROUNDING


def _scaled(query: Embedding, length: float) -> Any:
    """Return a vector of the query's direction and the given length, at which Euclid and cosine differ the least."""
    direction = vector_of(query).astype(np.float64)
    own = float(np.linalg.norm(direction))
    scaled = direction * (length / own) if own else direction
    return np.clip(scaled, -_FLOAT32_MAX, _FLOAT32_MAX).astype(np.float32)


def _ids(best: Sequence[tuple[float, str]]) -> list[str]:
    return [record_id for _, record_id in best]

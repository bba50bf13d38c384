"""Ranking by cosine similarity over a collection that is indexed by Euclidean distance.

Chroma's own `cosine` distance normalises embeddings as it stores them, and they must come back as they were. Among
vectors of one length both distances rank alike, and nearly all embedding models make such. For others Chroma's nearest
are candidates: they are ranked anew here, and more are asked for until no other document can be more alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chatstore.chroma.collection import Collection
from chatstore.chroma.records import Record, vector_of
from chatstore.models import Embedding

_FIRST = 32
_GROWTH = 4
_MOST = 10_000
_PARTS = ("metadatas", "embeddings")
_ROUNDING = 1e-6
_FLOAT32_MAX = float(np.finfo(np.float32).max)

Admits = Callable[[Record], bool]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record that may be among the best, and how alike it is to the query."""

    record: Record
    score: float


async def most_alike(
    collection: Collection, query: Embedding, *, k: int, where: Mapping[str, Any] | None, admits: Admits
) -> list[Candidate]:
    """Return the `k` records that are most alike to the query, best first; equal ones by id.

    Exact among the records that Chroma's (approximate) index finds, unless lengths differ so much that 10,000
    candidates do not decide it; then these are all that is looked at.

    Args:
        collection: Where to look.
        query: What to look for.
        k: At most how many.
        where: What Chroma filters by.
        admits: What else a record, known by its metadata and embedding, must fulfil.

    Raises:
        InvalidRecordError: The records' embeddings have another dimension.
    """
    direction = vector_of(query).astype(np.float64)
    length = float(np.linalg.norm(direction))
    count, most = max(_FIRST, 2 * k), max(_MOST, 2 * k)
    while True:
        vector = _scaled(direction, length)
        answer = await collection.query(vector, count=count, where=where, parts=_PARTS)
        found = [record for record, _ in answer]
        scores = cosines([record.embedding for record in found if record.embedding is not None], query)
        admitted = [Candidate(record, score) for record, score in zip(found, scores, strict=True) if admits(record)]
        best = sorted(admitted, key=lambda candidate: (-candidate.score, candidate.record.id))[:k]
        if len(answer) < count or count >= most:
            return best
        lengths = _lengths(found)
        if len(best) == k and best[-1].score >= _bound(answer[-1][1], float(np.linalg.norm(vector)), lengths):
            return best
        # The nearest to a query of the documents' own length differ from the most alike the least.
        length = float(np.median(lengths)) if lengths.size else length
        count = min(count * _GROWTH, most)


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


def _bound(squared_distance: float, query: float, lengths: Any) -> float:
    """Return what cosine a document that was not returned can have at most.

    A document of length n lies `q² + n² - 2·q·n·cosine` from a query of length q (squared), and all that were not
    returned lie at least as far as the last one that was. The bound over the lengths in between is at one of the ends.
    """
    if not math.isfinite(squared_distance) or not lengths.size or query == 0:
        return math.inf
    ends = (float(lengths.min()), float(lengths.max()))
    return max((query**2 + n**2 - squared_distance) / (2 * query * n) for n in ends) - _ROUNDING


def _lengths(records: Sequence[Record]) -> Any:
    rows = np.stack([vector_of(record.embedding) for record in records if record.embedding is not None])
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    return lengths[lengths > 0]


def _scaled(direction: Any, length: float) -> Any:
    own = float(np.linalg.norm(direction))
    scaled = direction * (length / own) if own else direction
    return np.clip(scaled, -_FLOAT32_MAX, _FLOAT32_MAX).astype(np.float32)

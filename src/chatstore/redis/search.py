"""Search without a search module: every document of the user is looked at, in bounded memory."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from redis.exceptions import ResponseError

from chatstore.errors import InvalidRecordError
from chatstore.models import Embedding
from chatstore.models.filters import Filter
from chatstore.redis.client import Client
from chatstore.redis.index import Place, UserIndex
from chatstore.redis.layouts.fields import BadFieldError
from chatstore.redis.layouts.layout import DocumentLayout, Fields

_BATCH = 256

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hit:
    """A document's id and its score."""

    id: bytes
    score: float

    @property
    def rank(self) -> tuple[float, bytes]:
        """What hits are sorted by: the better score first, ties by id."""
        return (-self.score, self.id)


async def search(
    client: Client,
    layout: DocumentLayout,
    index: UserIndex,
    user_id: str,
    query: Embedding,
    *,
    k: int,
    fits: Filter | None,
) -> list[Hit]:
    """Return the user's `k` best documents by cosine similarity; an all-zero vector is like nothing.

    Embeddings come in batches of one round trip, and only the best `k` ids are kept. A document that cannot be read is
    left out and named in a warning.

    Raises:
        InvalidRecordError: A document has an embedding of another dimension than the query.
    """
    best: list[Hit] = []
    async for places in index.places(user_id, _BATCH):
        candidates = await _candidates(client, layout, user_id, places, fits)
        best = heapq.nsmallest(k, [*best, *_scored(candidates, query)], key=lambda hit: hit.rank)
    return best


async def _candidates(
    client: Client, layout: DocumentLayout, user_id: str, places: Sequence[Place], fits: Filter | None
) -> list[tuple[bytes, Embedding]]:
    rows = await client.ask_all(("HMGET", layout.prefix + place.id, *layout.search_fields) for place in places)
    found = []
    for place, row in zip(places, rows, strict=True):
        if isinstance(row, ResponseError):
            continue
        fields = {name: value for name, value in zip(layout.search_fields, row, strict=True) if value is not None}
        try:
            embedding = _embedding(layout, user_id, fields, fits)
        except BadFieldError as error:
            logger.warning("a document was left out of a search: cannot read %r: %s", layout.prefix + place.id, error)
            continue
        if embedding is not None:
            found.append((place.id, embedding))
    return found


def _embedding(layout: DocumentLayout, user_id: str, fields: Fields, fits: Filter | None) -> Embedding | None:
    if layout.read_owner(fields) != user_id:
        return None
    if fits is not None and not fits.matches(layout.read_searched(fields)):
        return None
    return layout.read_vector(fields)


def _scored(candidates: Sequence[tuple[bytes, Embedding]], query: Embedding) -> list[Hit]:
    for _, embedding in candidates:
        if embedding.dimension != query.dimension:
            raise InvalidRecordError(
                f"the query's embedding has {query.dimension} numbers, the documents' have {embedding.dimension}"
            )
    if not candidates:
        return []
    # In float64: squares of large float32 overflow.
    matrix = (
        np.frombuffer(b"".join(e.data for _, e in candidates), "<f4").reshape(len(candidates), -1).astype(np.float64)
    )
    vector = np.frombuffer(query.data, "<f4").astype(np.float64)
    lengths = np.linalg.norm(matrix, axis=1) * np.linalg.norm(vector)
    scores = np.divide(matrix @ vector, lengths, out=np.zeros(len(candidates)), where=lengths > 0)
    return [Hit(name, float(score)) for (name, _), score in zip(candidates, scores, strict=True)]

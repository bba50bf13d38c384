"""Search without a search module: every document of the user is looked at, in bounded memory."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chatstore.errors import InvalidRecordError, LayoutError
from chatstore.models import Embedding
from chatstore.models.filters import Filter
from chatstore.redis.client import Client
from chatstore.redis.document_calls import DocumentCalls
from chatstore.redis.index import Place, UserIndex
from chatstore.redis.scripts import run, run_all

_BATCH = 256
_ROOM = 131_072
"""How many bytes a document may have that is read with others; a larger one is read alone."""

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
    calls: DocumentCalls,
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
    async for places in index.places(calls.old_user(user_id), _BATCH):
        candidates = await _candidates(client, calls, user_id, places, fits)
        best = heapq.nsmallest(k, [*best, *_scored(candidates, query)], key=lambda hit: hit.rank)
    return best


async def _candidates(
    client: Client, calls: DocumentCalls, user_id: str, places: Sequence[Place], fits: Filter | None
) -> list[tuple[bytes, Embedding]]:
    replies = await run_all(client, [calls.read_for_search(place.id, user_id, room=_ROOM) for place in places])
    found = []
    for place, reply in zip(places, replies, strict=True):
        if reply[0] == b"large":
            reply = await run(client, calls.read_for_search(place.id, user_id))  # noqa: PLW2901 - the same document's
        try:
            embedding = calls.embedding(reply, place.id, fits)
        except LayoutError as error:
            logger.warning("a document was left out of a search: %s", error)
            continue
        if embedding is not None:
            found.append((place.id, embedding))
    return found


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

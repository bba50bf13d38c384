"""How long the embeddings of a collection are: what its nearest tell about its most alike depends on it."""

from __future__ import annotations

import math
from typing import Any

from chatstore.chroma.collection import BATCH, Collection, Lengths
from chatstore.chroma.metadata import LENGTH

_ROUNDING = 1e-6
_STEP = math.log(1.2)
_MOST_SCALES = 16


async def lengths_of(collection: Collection) -> Lengths | None:
    """Return two lengths between which all embeddings of a collection are, but for the zero ones; None for no others.

    It is found by asking for embeddings outside of what was known before, until there are none: one index look-up, as
    long as nobody writes longer or shorter ones.
    """
    known = collection.lengths
    while True:
        found = await collection.get(where=_outside(known), limit=BATCH)
        held = [length for record in found if isinstance(length := record.metadata.get(LENGTH), float)]
        if not held:
            collection.lengths = known
            return known
        least, most = min(held) * (1 - _ROUNDING), max(held) * (1 + _ROUNDING)
        known = Lengths(least, most) if known is None else Lengths(min(known.least, least), max(known.most, most))


def _outside(known: Lengths | None) -> dict[str, Any]:
    if known is None:
        return {LENGTH: {"$gt": 0.0}}
    return {"$or": [{LENGTH: {"$lt": known.least}}, {LENGTH: {"$gt": known.most}}]}


def scales(lengths: Lengths | None) -> list[float]:
    """Return the lengths to give to a query, so that each embedding is about as long as one of them.

    They are a fifth apart, or more where there would be more than 16. It is 1 when no length is known.
    """
    if lengths is None:
        return [1.0]
    apart = math.log(lengths.most) - math.log(lengths.least)
    count = min(math.ceil(apart / _STEP), _MOST_SCALES) or 1
    return [lengths.least * math.exp(apart * (at + 0.5) / count) for at in range(count)]

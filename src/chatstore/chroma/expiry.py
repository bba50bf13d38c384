"""The documents that have expired: found, and removed for good, beside whoever writes them anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from chatstore.chroma.collection import BATCH, METADATA, Collections
from chatstore.chroma.holdings import Held, Holdings
from chatstore.chroma.metadata import EXPIRES, USER, is_expired, version_of
from chatstore.chroma.records import Record
from chatstore.chroma.scan import collection_names
from chatstore.chroma.walk import Place, walk
from chatstore.models import DocumentKey, to_micros


class Expiry:
    """What has expired and is only hidden yet.

    Args:
        collections: The database's.
        holdings: What there is.
        now: What time it is.
    """

    def __init__(self, collections: Collections, holdings: Holdings, now: Callable[[], datetime]) -> None:
        self._collections = collections
        self._holdings = holdings
        self._now = now

    async def keys(self) -> AsyncIterator[Sequence[DocumentKey]]:
        """Yield the keys of what has expired, as `DocumentSide.expired` says."""
        async for name, _ in collection_names(self._collections, self._holdings, Place()):

            async def fetch(limit: int, offset: int, name: str = name) -> list[Record]:
                collection = self._collections.named(name)
                return await collection.get(where=self._where(), parts=METADATA, limit=limit, offset=offset)

            async for stretch in walk(fetch, lambda record: record.id, size=BATCH):
                owner = self._holdings.plan.owner_of(name)
                named = ((record.metadata.get(USER, owner), record.id) for record in stretch.items)
                yield [
                    DocumentKey(user, self._holdings.plan.document_id(record_id))
                    for user, record_id in named
                    if isinstance(user, str)
                ]

    async def remove(self, keys: Sequence[DocumentKey]) -> int:
        """Remove those of some documents that have expired; return how many.

        No join may be at work on them. A writer may: Chroma is told what to remove by its expiry, which nobody has
        written over yet when it looks, and a writer looks after its write whether that was taken along.
        """
        now = self._now()
        held = await self._holdings.held(keys)
        gone = {key: version_of(known.record) for key, known in held.items() if known.record and _has_gone(known, now)}
        # First, so that a crash in between leaves none removed whose version is forgotten.
        await self._holdings.tombstones.keep_lapsed(gone)
        await self._holdings.remove(gone, where=self._where())
        return len(gone)

    def _where(self) -> Mapping[str, Any]:
        return {EXPIRES: {"$lte": to_micros(self._now())}}


def _has_gone(held: Held, now: datetime) -> bool:
    return held.record is not None and is_expired(held.record, now)

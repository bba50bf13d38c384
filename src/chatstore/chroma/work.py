"""Who is at work on documents, by records in the journal's collection: marks, and announced joins beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b

from chatstore.chroma.collection import Collections
from chatstore.chroma.exclusion import WorkUnderWay
from chatstore.chroma.journal import NAME, ChromaJournal
from chatstore.chroma.records import Record
from chatstore.chroma.tombstones import NO_VECTOR
from chatstore.models import DocumentKey, Mark, from_micros, new_token, to_micros, utc_now

NAMED = 500
"""How many documents one record names: their digits stay below the 4 KB that Chroma Cloud allows metadata."""

_JOIN = "join"
_LONG_OVER = timedelta(hours=1)


class ChromaWork(WorkUnderWay):
    """A record or two for each join and user: few, because a batch has few users, and gone when the join has ended.

    It names the documents by four hexadecimal digits each; who writes another document with the same digits waits for
    nothing, which is rare. A join that died leaves its record, until somebody who writes the user's documents meets it
    an hour later.
    """

    def __init__(
        self, collections: Collections, journal: ChromaJournal, *, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._collection = collections.named(NAME)
        self._journal = journal
        self._now = now

    async def marks_on(self, keys: Collection[DocumentKey]) -> Collection[Mark]:
        return await self._journal.standing({key.user_id for key in keys}, {key.id for key in keys})

    async def announce(self, documents: Mapping[str, Collection[str]], until: datetime) -> Sequence[str]:
        records = [
            Record(
                id=f"{_JOIN}:{new_token()}",
                metadata={"kind": _JOIN, "user_id": user_id, "documents": " ".join(named), "until": to_micros(until)},
                embedding=NO_VECTOR,
            )
            for user_id, ids in documents.items()
            for named in _parts(sorted({_digits(document_id) for document_id in ids}))
        ]
        names = [record.id for record in records]
        try:
            await self._collection.upsert(records)
        except (Exception, asyncio.CancelledError):
            await self.take_back(names)
            raise
        return names

    async def withdraw(self, names: Sequence[str]) -> None:
        await self._collection.delete(names)

    async def joins_until(self, user_id: str, *ids: str) -> datetime | None:
        now = to_micros(self._now())
        long_over = to_micros(self._now() - _LONG_OVER)
        of_interest = {"$or": [{"until": {"$gt": now}}, {"until": {"$lt": long_over}}]}
        announced = await self._collection.get(where={"$and": [{"kind": _JOIN}, {"user_id": user_id}, of_interest]})
        if dead := [record.id for record in announced if _until(record) < long_over]:
            await self.take_back(dead)
        digits = {_digits(document_id) for document_id in ids}
        times = [_until(record) for record in announced if _until(record) > now and _concerns(record, digits)]
        return from_micros(max(times)) if times else None


def _until(record: Record) -> int:
    until = record.metadata["until"]
    return until if isinstance(until, int) else 0


def _concerns(record: Record, digits: Collection[str]) -> bool:
    named = record.metadata.get("documents")
    # A chatstore that is older than this file announces a user's documents without naming them.
    return not digits or not isinstance(named, str) or any(name in digits for name in named.split())


def _parts(digits: Sequence[str]) -> list[Sequence[str]]:
    return [digits[start : start + NAMED] for start in range(0, len(digits), NAMED)]


def _digits(document_id: str) -> str:
    return blake2b(document_id.encode(), digest_size=2).hexdigest()

"""Who is at work on documents, by records in the journal's collection: marks, and announced joins beside them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from chatstore.chroma.collection import Collections
from chatstore.chroma.exclusion import WorkUnderWay
from chatstore.chroma.journal import NAME, ChromaJournal
from chatstore.chroma.records import Record
from chatstore.chroma.tombstones import NO_VECTOR
from chatstore.models import DocumentKey, Mark, from_micros, new_token, to_micros

_JOIN = "join"


class ChromaWork(WorkUnderWay):
    """One record for each join and user: few, because a batch has few users, and gone when the join has ended."""

    def __init__(self, collections: Collections, journal: ChromaJournal) -> None:
        self._collection = collections.named(NAME)
        self._journal = journal

    async def marks_on(self, keys: Collection[DocumentKey]) -> Collection[Mark]:
        return await self._journal.standing({key.user_id for key in keys}, {key.id for key in keys})

    async def announce(self, user_ids: Collection[str], until: datetime) -> Sequence[str]:
        records = [
            Record(
                id=f"{_JOIN}:{new_token()}",
                metadata={"kind": _JOIN, "user_id": user_id, "until": to_micros(until)},
                embedding=NO_VECTOR,
            )
            for user_id in user_ids
        ]
        await self._collection.upsert(records)
        return [record.id for record in records]

    async def withdraw(self, names: Sequence[str]) -> None:
        await self._collection.delete(names)

    async def joins_until(self, user_id: str) -> datetime | None:
        announced = await self._collection.get(where={"$and": [{"kind": _JOIN}, {"user_id": user_id}]})
        times = [until for record in announced if isinstance(until := record.metadata["until"], int)]
        return from_micros(max(times)) if times else None

"""The journal of the new side of documents, in a collection of its own beside them."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

from chatstore.chroma.collection import BATCH, Collections
from chatstore.chroma.marks import MARK, decode_mark, encode_mark, record_id
from chatstore.chroma.records import Native, Record
from chatstore.chroma.tombstones import NO_VECTOR
from chatstore.chroma.walk import walk
from chatstore.interfaces import Journal
from chatstore.models import Backlog, Mark, MigrationState, Stage, from_micros, to_micros

NAME = "chatstore_journal"

_STATE = "state"
_MARKS: dict[str, Any] = {"kind": MARK}
_MAX_KEYS = 10_000


class ChromaJournal(Journal):
    """Marks and state as records of the collection `chatstore_journal`.

    Chroma does no two things in one step, so marks are made before the write that they are for. A mark is found by its
    user, its key or its token at the cost of an index look-up (about 1 ms, whatever else the journal holds). Chroma
    cannot sort, though: `marks` and `backlog` read every mark there is (some 20,000 a second) and keep those they need.
    """

    def __init__(self, collections: Collections) -> None:
        self._collection = collections.named(NAME)

    async def add(self, marks: Sequence[Mark]) -> None:
        kept = list(marks)
        if any(mark.while_open for mark in kept) and not (await self.state()).journal_open:
            kept = [mark for mark in kept if not mark.while_open]
        await self._collection.upsert([encode_mark(mark) for mark in kept])

    async def clear(self, marks: Sequence[Mark]) -> None:
        await self._collection.delete([record_id(mark) for mark in marks])

    async def clear_alone(self, marks: Sequence[Mark], own: Sequence[Mark] = ()) -> Sequence[Mark]:
        if not marks:
            return ()
        known = {mark.token for mark in (*marks, *own)}
        standing = await self.standing({mark.user_id for mark in marks}, {mark.key for mark in marks})
        contested = {(mark.user_id, mark.key) for mark in standing if mark.token not in known}
        left = [mark for mark in marks if (mark.user_id, mark.key) in contested]
        # Only what stands: a removal of nothing is a write all the same, and waits for all others of this server.
        here = {mark.token for mark in standing}
        await self.clear([mark for mark in marks if (mark.user_id, mark.key) not in contested and mark.token in here])
        return left

    async def marks(self, *, limit: int, after: Mark | None = None) -> Sequence[Mark]:
        oldest: list[Mark] = []
        async for page in self._pages(_MARKS if after is None else _made_since(after.at)):
            behind = [mark for mark in page if after is None or _age(mark) > _age(after)]
            # A page may repeat what the one before it had.
            oldest = heapq.nsmallest(limit, {mark.token: mark for mark in (*oldest, *behind)}.values(), key=_age)
        return oldest

    async def walk(self, *, until: datetime, page: int, one_sided: bool = True) -> AsyncIterator[Sequence[Mark]]:
        # Page by page of `marks`, each would read all that is marked.
        clauses: list[dict[str, Any]] = [_MARKS, {"at": {"$lte": to_micros(until)}}]
        if not one_sided:
            clauses.append({"while_open": False})
        async for found in self._pages({"$and": clauses}, page):
            yield found

    async def marks_of(self, user_id: str, keys: Sequence[str] | None = None) -> Sequence[Mark]:
        standing = await self.standing({user_id}, None if keys is None else set(keys))
        return sorted(standing, key=_age)

    async def backlog(self) -> Backlog:
        tokens: set[str] = set()
        oldest: datetime | None = None
        async for page in self._pages(_MARKS):
            tokens.update(mark.token for mark in page)
            oldest = min([mark.at for mark in page] + ([oldest] if oldest else []))
        return Backlog(len(tokens), oldest)

    async def state(self) -> MigrationState:
        found = await self._collection.get([_STATE])
        return _state_of(found[0]) if found else MigrationState()

    async def remember(
        self,
        *,
        journal_open: bool | None = None,
        backfilled_at: datetime | None = None,
        verified_at: datetime | None = None,
        differed_at: datetime | None = None,
        stage: Stage | None = None,
        way_back_closed: bool | None = None,
    ) -> None:
        fields: dict[str, Native] = {
            "kind": _STATE,
            "journal_open": journal_open,
            "backfilled_at": None if backfilled_at is None else to_micros(backfilled_at),
            "verified_at": None if verified_at is None else to_micros(verified_at),
            "differed_at": None if differed_at is None else to_micros(differed_at),
            "stage": None if stage is None else stage.value,
            "way_back_closed": way_back_closed,
        }
        # An upsert adds metadata to those that are there, so the fields that are left out stay, and two processes that
        # remember different ones at once lose none.
        named = {name: value for name, value in fields.items() if value is not None}
        await self._collection.upsert([Record(id=_STATE, metadata=named, embedding=NO_VECTOR)])

    async def forget_state(self) -> None:
        await self._collection.delete([_STATE])

    async def standing(self, users: set[str], keys: set[str] | None) -> list[Mark]:
        """Return all marks of any of the users on any of the keys; one call for up to 10,000 keys."""
        user: dict[str, Any] = {"user_id": {"$in": sorted(users)}}
        if keys is None:
            return [decode_mark(record) for record in await self._collection.get(where={"$and": [_MARKS, user]})]
        found: list[Mark] = []
        named = sorted(keys)
        for start in range(0, len(named), _MAX_KEYS):
            where = {"$and": [user, {"key": {"$in": named[start : start + _MAX_KEYS]}}]}
            found += [decode_mark(record) for record in await self._collection.get(where=where)]
        return found

    async def _pages(self, where: dict[str, Any], size: int = BATCH) -> AsyncIterator[list[Mark]]:
        """Yield the marks that fit, in no certain order."""

        async def fetch(limit: int, offset: int) -> list[Record]:
            return await self._collection.get(where=where, limit=limit, offset=offset)

        async for stretch in walk(fetch, lambda record: record.id, size=size):
            yield [decode_mark(record) for record in stretch.items]


def _made_since(time: datetime) -> dict[str, Any]:
    return {"$and": [_MARKS, {"at": {"$gte": to_micros(time)}}]}


def _state_of(record: Record) -> MigrationState:
    held: Any = record.metadata
    names = ("backfilled_at", "verified_at", "differed_at", "stage")
    backfilled, verified, differed, stage = (held.get(name) for name in names)
    return MigrationState(
        journal_open=held.get("journal_open", False),
        backfilled_at=None if backfilled is None else from_micros(backfilled),
        verified_at=None if verified is None else from_micros(verified),
        differed_at=None if differed is None else from_micros(differed),
        stage=None if stage is None else Stage(stage),
        way_back_closed=held.get("way_back_closed", False),
    )


def _age(mark: Mark) -> tuple[datetime, str]:
    return (mark.at, mark.token)

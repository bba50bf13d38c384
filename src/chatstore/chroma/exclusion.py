"""Keeping apart, between processes, who writes a document and who joins a state into it.

Both are a look and then a write. A join that looked before a write would put an older state over it; and where the
write went to this side alone, nobody could bring it back. So nobody joins while somebody writes: a writer makes his
marks and then waits for the joins that are announced; a join is announced and then keeps away from what a writer at
work has marked. Whichever of the two comes second sees the first (Dekker's argument), and it is always the join that
gives way, so nobody waits in a circle. Marks and announcements of the dead end with their leases, and a writer does not
wait that long: his own lease runs meanwhile. Within one process, whoever is at work on a document has its turn besides.

Two writers at once are not kept apart: the later one overwrites the other, as in any store. Nor are two joins: what one
of them undoes is still on the side that it came from, and marked there.
"""

from __future__ import annotations

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from datetime import datetime, timedelta
from typing import TypeAlias
from weakref import WeakKeyDictionary

from chatstore.chroma.portions import LEAST, Portions
from chatstore.chroma.turns import Turns
from chatstore.errors import BusyError, ChatStoreError, ConflictError, InvalidRecordError
from chatstore.models import DeleteDocuments, DocumentChange, DocumentKey, Mark, UpsertDocuments, utc_now

Join: TypeAlias = Callable[[Sequence[DocumentChange]], Awaitable[None]]

LEASE = timedelta(seconds=20)
"""For how long an announced join keeps writers away at the most, should it never end."""

PATIENCE = timedelta(seconds=5)
"""How long a writer waits for the joins of his documents."""

AT_ONCE = 2
"""How many large joins are under way at once. One writes, and the other looks and gets ready meanwhile; more would be
announced for longer, and be no faster."""

_PAUSE_SECONDS = 0.05
_TAKE_BACK_SECONDS = 1.0
_ATTEMPTS = 40
_WRITES = frozenset({UpsertDocuments.op, DeleteDocuments.op})


class WorkUnderWay(ABC):
    """Where it is noted who is at work: writers by their marks, joins by announcements."""

    @abstractmethod
    async def marks_on(self, keys: Collection[DocumentKey]) -> Collection[Mark]:
        """Return this side's marks on some documents; perhaps more."""

    @abstractmethod
    async def announce(self, documents: Mapping[str, Collection[str]], until: datetime) -> Sequence[str]:
        """Announce a join into documents, given as each user's ids; return its names, for `withdraw`."""

    @abstractmethod
    async def withdraw(self, names: Sequence[str]) -> None:
        """End an announcement."""

    @abstractmethod
    async def joins_until(self, user_id: str, *ids: str) -> datetime | None:
        """Return when the last join announced into any of a user's documents ends at the latest; None: there is none.

        Without ids all of the user's documents are meant. Joins of others may be counted, too, if that is rare.
        """

    async def take_back(self, names: Sequence[str]) -> None:
        """End an announcement under which nothing is done, in a second at most; if that fails, it ends by itself."""
        with suppress(ChatStoreError, TimeoutError):
            async with asyncio.timeout(_TAKE_BACK_SECONDS):
                await self.withdraw(names)


async def _pause() -> None:
    await asyncio.sleep(_PAUSE_SECONDS)


class Exclusion:
    """The rule above, for one side.

    Args:
        work: Where it is noted who is at work.
        now: The clock by which leases end.
        pause: Waits a little, before somebody looks again.
    """

    def __init__(
        self,
        work: WorkUnderWay,
        *,
        now: Callable[[], datetime] = utc_now,
        pause: Callable[[], Awaitable[None]] = _pause,
    ) -> None:
        self._turns = Turns()
        self._large = WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]()
        self._portions = Portions()
        self._work = work
        self._now = now
        self._pause = pause

    @asynccontextmanager
    async def writing(self, user_id: str, ids: Sequence[str], *, marked: bool) -> AsyncIterator[None]:
        """Write some documents inside. With `marked`, the marks are made already; joins see no write without.

        Raises:
            BusyError: They were being joined all the time. Nothing was written inside.
        """
        async with self._turns.of(DocumentKey(user_id, document_id) for document_id in ids):
            if marked:
                await self.joins_ended(user_id, ids)
            yield

    async def joins_ended(self, user_id: str, ids: Sequence[str]) -> None:
        """Wait until no join that was announced into some documents goes on.

        Raises:
            BusyError: They were being joined all the time.
        """
        end = self._now() + PATIENCE
        while (until := await self._work.joins_until(user_id, *ids)) is not None and until > self._now():
            if self._now() >= end:
                raise BusyError(
                    f"documents of user {user_id!r} are being copied by others, for more than "
                    f"{PATIENCE.total_seconds():.0f} s: nothing was written, write a little later"
                )
            await self._pause()

    async def join(self, changes: Sequence[DocumentChange], join: Join) -> None:
        """Call `join` with the changes, at some moment at which nobody writes to their documents; perhaps in parts.

        Raises:
            BusyError: Somebody was at work on some of them all the time. The others were joined.
        """
        rest: Sequence[DocumentChange] = changes
        attempts = 0
        while rest:
            if attempts == _ATTEMPTS:
                raise BusyError(f"{len(rest)} documents are being written by others: join them a little later")
            if attempts:
                await self._pause()
            attempts += 1
            rest = await self._join_once(rest, join)

    async def _join_once(self, changes: Sequence[DocumentChange], join: Join) -> list[DocumentChange]:
        """Join what nobody writes now, a portion at a time; return the rest."""
        rest: list[DocumentChange] = []
        start = 0
        while start < len(changes):
            portion = changes[start : start + self._portions.of(len(changes) - start)]
            start += len(portion)
            # The turn comes first: a writer of this process, who has it, may be waiting for what is announced.
            async with self._turns.of(change.key for change in portion), self._room_for(portion):
                rest += await self._join_idle(portion, join)
        return rest

    def _room_for(self, portion: Sequence[DocumentChange]) -> AbstractAsyncContextManager[None]:
        """Return what keeps few large joins at work at once; small ones wait for nobody."""
        if len(portion) <= LEAST:
            return nullcontext()
        # A loop each: a store may be used after a fork, in a loop of the child's.
        return self._large.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE))

    async def _join_idle(self, changes: Sequence[DocumentChange], join: Join) -> list[DocumentChange]:
        """Join what nobody writes now; return the rest."""
        names = await self._work.announce(_by_user(changes), self._now() + LEASE)
        try:
            busy = await self._written_now([change.key for change in changes])
        except (Exception, asyncio.CancelledError):
            await self._work.take_back(names)
            raise
        if idle := [change for change in changes if change.key not in busy]:
            begun = time.monotonic()
            try:
                await join(idle)
            except (ConflictError, InvalidRecordError):
                await self._work.withdraw(names)
                raise
            except ChatStoreError:
                self._portions.took(len(idle), math.inf)
                raise
            # Any other failure leaves the announcement, because the join may still happen: a request is on its way.
            self._portions.took(len(idle), time.monotonic() - begun)
        await self._work.withdraw(names)
        return [change for change in changes if change.key in busy]

    async def _written_now(self, keys: Sequence[DocumentKey]) -> set[DocumentKey]:
        now = self._now()
        return {
            DocumentKey(mark.user_id, mark.key)
            for mark in await self._work.marks_on(keys)
            if mark.op in _WRITES and mark.is_leased(now)
        }


def _by_user(changes: Sequence[DocumentChange]) -> dict[str, list[str]]:
    ids: dict[str, list[str]] = {}
    for change in changes:
        ids.setdefault(change.key.user_id, []).append(change.key.id)
    return ids

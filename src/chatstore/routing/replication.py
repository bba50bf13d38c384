"""Writing the second side, after the app has its answer.

Each write's mark is durable already, so nothing here can lose anything: what is not written now stays marked, and the
repairer merges it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeAlias, TypeVar

from chatstore.errors import BusyError, ChatStoreError, ConflictError, InvalidRecordError
from chatstore.models import ChatChange, DocumentChange, Mark, Side, utc_now
from chatstore.routing.missed import Missed, Standing

logger = logging.getLogger("chatstore.routing")

LINGER = 0.002
"""For how many seconds a batch waits for more: next to nothing beside a round trip to Supabase or Chroma."""

_CONTESTED = 1000

_PUT_OF_LEASE = 1 / 3
"""Which part of a mark's lease one put may take, with what arrives of it after it was given up: 15 s of the 45 s that a
document's lasts, which are the deadline (5 s) and Chroma's timeout (10 s)."""

OnPut: TypeAlias = Callable[[Side, int, float, Exception | None], None]
"""Told of each batch: which side, how many writes, how many seconds it took, and the error that ended it, if any."""

C = TypeVar("C", bound=ChatChange | DocumentChange)


@dataclass(slots=True)  # not frozen: that would make it dearer to make, and one is made for each write
class Handover(Generic[C]):
    """What one write leaves to do on the other side: join `changes` into `target`, then clear `marks`."""

    target: Side
    changes: tuple[C, ...]
    marks: tuple[Mark, ...]


@dataclass(slots=True)
class ReplicationCounts:
    """What became of the handovers so far.

    Attributes:
        written: Written.
        left: Not written, because of an error or the deadline: marked.
        contested: How many marks of what was written are still there, because others were at work on their keys.
        dropped: Not even tried, because the queue was full, the second side is down, or a lease would have ended before
            the put: marked.
        waiting: Still to be done.
        missed: How many keys of what was left or dropped are not known to be merged yet; at 0 the second side has all
            that this process wrote.
        recovered: How often the last of them was merged.
    """

    written: int = 0
    left: int = 0
    contested: int = 0
    dropped: int = 0
    waiting: int = 0
    missed: int = 0
    recovered: int = 0


class Replicator(Generic[C]):
    """Does handovers in the background, in batches, in bounded time and memory.

    Args:
        put: Joins changes into a side.
        clear: Clears marks once both sides are written; returns those that had to be left.
        standing: Tells which marks still stand, to know when what was missed is merged.
        deadline: The most seconds that one batch may take on the second side.
        capacity: How many handovers may wait; one more is dropped.
        workers: How many batches may be under way at once.
        batch: How many handovers go into one batch at the most.
        inline: Do each handover before `hand_over` returns: slower for the app, and never behind.
        patience: After this many failures in a row the second side counts as down and is left alone for `rest` seconds.
        rest: See `patience`.
        linger: For how many seconds a batch waits for more. So a burst of writes costs the app's event loop, and the
            second side, one round trip instead of one each.
        on_put: Told of each batch that was put, or not.
    """

    def __init__(
        self,
        put: Callable[[Side, Sequence[C]], Awaitable[None]],
        clear: Callable[[Sequence[Mark]], Awaitable[Sequence[Mark]]],
        standing: Standing,
        *,
        deadline: float = 5.0,
        capacity: int = 10_000,
        workers: int = 4,
        batch: int = 100,
        inline: bool = False,
        patience: int = 3,
        rest: float = 2.0,
        linger: float = LINGER,
        on_put: OnPut | None = None,
    ) -> None:
        self._counts = ReplicationCounts()
        self._put = put
        self._clear = clear
        self._deadline = deadline
        self._capacity = capacity
        self._workers = workers
        self._batch = batch
        self._inline = inline
        self._patience = patience
        self._rest = rest
        self._linger = linger
        self._on_put = on_put
        self._queue: asyncio.Queue[Handover[C]] = asyncio.Queue()
        self._collecting = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._failures = dict.fromkeys(Side, 0)
        self._down_until = dict.fromkeys(Side, 0.0)
        self._missed = {side: Missed(side, standing, pause=rest) for side in Side}
        self._contested: list[Mark] = []
        self._closed = False

    @property
    def counts(self) -> ReplicationCounts:
        """What became of the handovers until now."""
        return replace(
            self._counts,
            contested=len(self._contested),
            missed=sum(map(len, self._missed.values())),
            recovered=sum(missed.recovered for missed in self._missed.values()),
        )

    async def hand_over(self, handover: Handover[C]) -> None:
        """See to it that the other side is written; never raises, and waits only if `inline`."""
        if self._closed:
            self._counts.dropped += 1
        elif self._inline:
            await self._do([handover])
        elif self._counts.waiting >= self._capacity or self._is_down(handover.target):
            self._drop(handover.target, [handover])
        else:
            self._counts.waiting += 1
            self._queue.put_nowait(handover)
            if len(self._tasks) < self._workers:
                self._tasks.append(asyncio.create_task(self._work()))

    async def drain(self) -> None:
        """Wait until all that was handed over is done, or left to the repairer."""
        await self._queue.join()

    async def close(self, patience: float = 10.0) -> None:
        """Drain for at most `patience` seconds and stop; what is left stays marked."""
        try:
            async with asyncio.timeout(patience):
                await self.drain()
        except TimeoutError:
            pass
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for missed in self._missed.values():
            await missed.close()
        if left := self._queue.qsize() + self.counts.missed:
            logger.warning("%d writes of the second side are left to the repairer", left)

    async def _work(self) -> None:
        while True:
            batch: list[Handover[C]] = []
            try:
                async with self._collecting:  # one at a time, or the idle workers would take one handover each
                    await self._collect(batch)
                await self._do(batch)
            finally:
                self._counts.waiting -= len(batch)
                for _ in batch:
                    self._queue.task_done()

    async def _collect(self, batch: list[Handover[C]]) -> None:
        batch.append(await self._queue.get())
        if self._linger:
            await asyncio.sleep(self._linger)
        while len(batch) < self._batch and not self._queue.empty():
            batch.append(self._queue.get_nowait())

    async def _do(self, batch: Sequence[Handover[C]]) -> None:
        for side in Side:
            part = [handover for handover in batch if handover.target is side]
            if part and self._is_down(side):
                self._drop(side, part)
            elif due := self._in_time(side, part):
                await self._do_on(side, due)

    def _in_time(self, side: Side, part: Sequence[Handover[C]]) -> list[Handover[C]]:
        """Drop what may arrive after its lease: by then others may have merged it, and cleared its mark."""
        now = utc_now()
        late = [any(_ends_too_soon(mark, now) for mark in handover.marks) for handover in part]
        if any(late):
            self._drop(side, [handover for handover, is_late in zip(part, late, strict=True) if is_late])
        return [handover for handover, is_late in zip(part, late, strict=True) if not is_late]

    async def _do_on(self, side: Side, part: Sequence[Handover[C]]) -> None:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._deadline):
                await self._put(side, [change for handover in part for change in handover.changes])
        except (BusyError, ConflictError, InvalidRecordError) as error:
            self._tell(side, part, began, error)
            await self._singly(side, part, error)
        except (ChatStoreError, TimeoutError) as error:
            self._tell(side, part, began, error)
            self._failed(side, part, error)
        except Exception as error:
            logger.exception("unexpected error of the %s side", side)
            self._tell(side, part, began, error)
            self._failed(side, part, error)
        else:
            self._tell(side, part, began, None)
            self._failures[side] = 0
            self._counts.written += len(part)
            await self._settle([mark for handover in part for mark in handover.marks])

    def _tell(self, side: Side, part: Sequence[Handover[C]], began: float, error: Exception | None) -> None:
        if self._on_put is not None:
            self._on_put(side, len(part), time.perf_counter() - began, error)

    async def _settle(self, marks: Sequence[Mark]) -> None:
        # Marks that were left before are tried again: most often it was only our own next write of the key.
        ripe = [*self._contested, *marks]
        try:
            async with asyncio.timeout(self._deadline):
                left = await self._clear(ripe)
        except Exception as error:  # noqa: BLE001 - whatever it is, the marks stay, and the second side is not to blame
            left = ripe
            logger.warning("%d marks could not be cleared yet: %s", len(ripe), _reason(error))
        self._contested = list(left)[-_CONTESTED:]

    async def _singly(self, side: Side, part: Sequence[Handover[C]], error: ChatStoreError) -> None:
        """Some of a batch were refused, or are busy: the others must not wait for the repairer because of them."""
        if len(part) == 1:
            self._leave(side, part)
            level = logging.INFO if isinstance(error, BusyError) else logging.WARNING
            logger.log(level, "the %s side did not take %s: %s", side, part[0].marks[0].op, error)
            return
        for handover in part:
            await self._do([handover])

    def _failed(self, side: Side, part: Sequence[Handover[C]], error: Exception) -> None:
        self._leave(side, part)
        self._failures[side] += 1
        if self._failures[side] >= self._patience:
            self._down_until[side] = time.monotonic() + self._rest
        logger.warning("%d writes of the %s side are left to the repairer: %s", len(part), side, _reason(error))

    def _leave(self, side: Side, part: Sequence[Handover[C]]) -> None:
        self._counts.left += len(part)
        self._missed[side].add(mark for handover in part for mark in handover.marks)

    def _drop(self, side: Side, part: Sequence[Handover[C]]) -> None:
        self._counts.dropped += len(part)
        self._missed[side].add(mark for handover in part for mark in handover.marks)

    def _is_down(self, side: Side) -> bool:
        return time.monotonic() < self._down_until[side]


def _ends_too_soon(mark: Mark, now: datetime) -> bool:
    """Whether a put that begins now may outlast the mark's lease."""
    return mark.lease_until is not None and mark.lease_until - now < (mark.lease_until - mark.at) * _PUT_OF_LEASE


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__

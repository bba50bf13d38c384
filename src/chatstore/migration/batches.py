"""A batch of a migration: what a planner cuts, a worker does, and a report adds up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar

from chatstore.migration.reading import closing
from chatstore.migration.reports import Tally
from chatstore.models import Kind, Quarantined, Side

K = TypeVar("K")
T = TypeVar("T")
R = TypeVar("R")


class Work(StrEnum):
    """What is done with the records of a batch."""

    COPY = "copy"
    DELETE = "delete what the source knows to be deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(Generic[K]):
    """Some records to bring to the other side. It can be pickled, so any process can do it; and done twice.

    Attributes:
        kind: What they are.
        source: The side that they come from.
        work: What to do with them.
        keys: Which they are: session ids, or `DocumentKey`s.
        holder: Who holds the lease: another process can tell by that whether it has the planner's servers before it.
        skip: Whether to pass over those that are on the other side as they are.
    """

    kind: Kind
    source: Side
    work: Work
    keys: tuple[K, ...]
    holder: str
    skip: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of a batch.

    Attributes:
        copied: What was put into the target.
        unchanged: What was passed over.
        quarantined: What could not be read, or was refused.
        reading: Seconds that were spent waiting for the source.
        writing: Seconds that were spent waiting for the target.
        notes: What a side never stored or does not hold exactly.
    """

    copied: Tally = field(default_factory=Tally)
    unchanged: Tally = field(default_factory=Tally)
    quarantined: tuple[Quarantined, ...] = ()
    reading: float = 0.0
    writing: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def records(self) -> int:
        """How many records it had."""
        return self.copied.records + self.unchanged.records + len(self.quarantined)

    def __add__(self, other: Done) -> Done:
        return Done(
            copied=self.copied + other.copied,
            unchanged=self.unchanged + other.unchanged,
            quarantined=(*self.quarantined, *other.quarantined),
            reading=self.reading + other.reading,
            writing=self.writing + other.writing,
            notes=tuple(dict.fromkeys((*self.notes, *other.notes))),
        )


Runner: TypeAlias = Callable[[Batch[K]], Awaitable[Done]]
"""Does a batch, here or in another process.

Raises:
    UnavailableError: A server did not answer; any part of the batch was done.
"""


async def in_order(
    items: AsyncIterator[T], work: Callable[[T], Awaitable[R]], *, at_once: Callable[[], int]
) -> AsyncGenerator[tuple[T, R], None]:
    """Yield each item with what `work` makes of it, in the order of the items, though several are worked on at once.

    Args:
        items: Read as far ahead as there is work under way.
        work: Is called with each item; an error ends all.
        at_once: How many at once; asked each time, so that it may change.
    """
    pending: deque[tuple[T, asyncio.Task[R]]] = deque()
    async with closing(items):
        try:
            async for item in items:
                pending.append((item, asyncio.create_task(_as_coroutine(work, item))))
                while len(pending) >= at_once():
                    result = await _first_of(pending)
                    yield pending.popleft()[0], result
            while pending:
                result = await _first_of(pending)
                yield pending.popleft()[0], result
        finally:
            for _, task in pending:
                task.cancel()
            await asyncio.gather(*(task for _, task in pending), return_exceptions=True)


async def _first_of(pending: Sequence[tuple[T, asyncio.Task[R]]]) -> R:
    """Return what the first of some tasks comes to; raise what any of them raises, as soon as it does."""
    while True:
        for _, task in pending:
            if task.done() and (error := task.exception()) is not None:
                raise error
        if pending[0][1].done():
            return pending[0][1].result()
        await asyncio.wait([task for _, task in pending if not task.done()], return_when=asyncio.FIRST_COMPLETED)


async def _as_coroutine(work: Callable[[T], Awaitable[R]], item: T) -> R:
    return await work(item)

"""What the second side missed, until it is known to be repaired: so that one can tell when the backlog is empty."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice

from chatstore.models import Mark, Side
from chatstore.routing.standing import key_of

logger = logging.getLogger("chatstore.routing")

_KEPT = 10_000
_AT_A_TIME = 100

Standing = Callable[[Sequence[Mark]], Awaitable[Sequence[Mark]]]
"""Returns those of some marks that are still in their journal."""


class Missed:
    """The marks of what one side missed. Says in the log when the last of them is gone.

    Who merges them is of no matter: this process's repairer, another's, or `chatstore repair`. One mark is kept for
    each key, and of more than 10,000 keys those that were written last, for a repair merges the oldest first.

    Args:
        side: The side that missed them.
        standing: Tells which marks still stand.
        pause: Seconds between two looks.
    """

    def __init__(self, side: Side, standing: Standing, *, pause: float) -> None:
        self.recovered = 0
        self._side = side
        self._standing = standing
        self._pause = pause
        self._marks: dict[tuple[str, str], Mark] = {}
        self._looking: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._marks)

    def add(self, marks: Iterable[Mark]) -> None:
        """Note the marks of a write that the side missed."""
        for mark in marks:
            self._marks.pop(key_of(mark), None)
            self._marks[key_of(mark)] = mark
        while len(self._marks) > _KEPT:
            del self._marks[next(iter(self._marks))]
        if self._marks and self._looking is None:
            self._looking = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self) -> None:
        while self._marks:
            await asyncio.sleep(self._pause)
            try:
                while self._marks and await self._first_are_gone():
                    pass
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look may succeed
                logger.debug("cannot look whether the %s side has all writes again: %s", self._side, error)
        self._looking = None
        self.recovered += 1
        logger.info("the %s side has all writes again", self._side)

    async def _first_are_gone(self) -> bool:
        """Look at the marks that were noted first, and forget those that are gone; return whether all of them are."""
        first = list(islice(self._marks.values(), _AT_A_TIME))
        standing = {mark.token for mark in await self._standing(first)}
        for mark in first:
            key = key_of(mark)
            # Meanwhile a later write of the key may have been missed, too.
            if mark.token not in standing and self._marks.get(key) is mark:
                del self._marks[key]
        return not standing

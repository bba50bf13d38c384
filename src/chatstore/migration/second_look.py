"""Looking again at records that look different, until it is sure that they are.

Two reads of two servers are never at one moment, so beside live writes a record may look different and be equal. What
is marked is known to differ, and is merged first. What changed between two looks is looked at once more. What is not
marked, and was the same on both sides in two looks, differs: a write that lies between the two sides has its mark in
place before its first side shows it, and keeps it until the second side does.

Suspects of many batches are looked at together, while the walk goes on, and the less often the longer they stay: so
that beside heavy writing the looks, and the merges of what is marked, take nothing away from the app that makes them.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from chatstore.interfaces import Journal
from chatstore.migration.overlap import both, several
from chatstore.migration.pairs import Pair, States
from chatstore.migration.patience import Patience
from chatstore.models import Mark, Side, utc_now

W = TypeVar("W")
K = TypeVar("K")
R = TypeVar("R")

Mend: TypeAlias = Callable[[Sequence[Mark]], Awaitable[object]]
"""Merges the keys of some marks."""

# In seconds. No lease of ours is longer; a clock that is wrong must not hold up a verify.
_LONGEST_LEASE = 120.0
_LONGEST_WAIT = 5.0

_MOST = 2000
"""How many suspects are kept, about, before whoever adds some must wait."""
_LOOKED_AT_ONCE = 1000
_WORTH_A_LOOK = 200
_LATE = 1.0
"""Seconds after which few suspects are worth a look, too."""
_ASKED_AT_ONCE = 8
_CHANGING = 4
"""How many times as many looks one gets that was another one at each: an app is writing it."""


@dataclass(slots=True)
class _Suspected(Generic[R]):
    """A suspect.

    Attributes:
        states: What the sides held at the last look.
        due: When to look next, by the monotonic clock.
        looks: How often it was looked at.
        last: Whether it is judged by the next look, whatever that sees.
    """

    states: States[R]
    due: float
    looks: int = 0
    last: bool = False

    @property
    def is_missing(self) -> bool:
        """Whether one side lacked it."""
        return None in self.states


class SecondLook(Generic[W, K, R]):
    """Sorts out which suspects differ for sure.

    Args:
        pair: Both sides.
        mend: Merges the keys of some marks.
        patience: How long a server that is away is waited for.
        looks: How often a suspect is looked at that is marked, or changes.
        wait: Seconds before the second look; doubled before each further one.
        judge: Is told of each that differs, with what the sides hold.
        again: Compares what lies under a key, because it was missing with a suspect that is there now.
    """

    def __init__(
        self,
        pair: Pair[W, K, R],
        mend: Mend,
        patience: Patience,
        *,
        looks: int,
        wait: float,
        judge: Callable[[K, States[R]], None],
        again: Callable[[W], Awaitable[None]],
    ) -> None:
        self._pair = pair
        self._mend = mend
        self._patience = patience
        self._looks = looks
        self._wait = wait
        self._judge = judge
        self._again = again
        self._suspects: dict[K, _Suspected[R]] = {}
        self._looking = asyncio.Lock()

    async def add(self, suspects: Mapping[K, States[R]]) -> None:
        """Take suspects; wait while there are too many."""
        now = time.monotonic()
        for key, states in suspects.items():
            self._suspects.setdefault(key, _Suspected(states, now))
        while len(self._suspects) > _MOST:
            await self._look()

    async def tend(self) -> None:
        """Look at suspects if it is worth it by now, and nobody does."""
        now = time.monotonic()
        due = [suspect.due for suspect in self._suspects.values() if suspect.due <= now]
        if not self._looking.locked() and (len(due) >= _WORTH_A_LOOK or (due and min(due) < now - _LATE)):
            await self._look()

    async def settle(self) -> None:
        """Look until no suspect is left."""
        while self._suspects:
            await self._look()

    async def _look(self) -> None:
        """Look once at those suspects that are due, or wait for the first that is."""
        async with self._looking:
            if not (due := self._due(time.monotonic())):
                await self._wait_for_one()
                return
            # Before the reads, not after: a mark that is gone by now was cleared when both sides were equal.
            marks = await self._patience.until_done(lambda: self._marks(due))
            if marks:
                every = {mark.token: mark for held in marks.values() for mark in held}
                await self._patience.until_done(lambda: self._mend(list(every.values())))
            old, new = await self._patience.until_done(lambda: self._read(due))
            again: list[W] = []
            for key, suspect in due.items():
                states = (old.get(key), new.get(key))
                if suspect.is_missing and None not in states and (more := self._pair.holds_more(key)) is not None:
                    again.append(more)
                self._sort(key, suspect, states, marks.get(key, ()))
        for more in again:
            await self._again(more)

    def _due(self, now: float) -> dict[K, _Suspected[R]]:
        due = sorted((item for item in self._suspects.items() if item[1].due <= now), key=lambda item: item[1].due)
        return dict(due[:_LOOKED_AT_ONCE])

    async def _wait_for_one(self) -> None:
        if not self._suspects:
            return
        first = min(self._suspects.values(), key=lambda suspect: suspect.due)
        if first.last:
            self._patience.on_wait("writers that may still be at work on keys that differ")
        await asyncio.sleep(max(0.0, first.due - time.monotonic()))

    def _sort(self, key: K, suspect: _Suspected[R], states: States[R], marks: Sequence[Mark]) -> None:
        """Judge a suspect by what was seen, drop it, or have it looked at again."""
        same, suspect.states = states == suspect.states, states
        suspect.looks += 1
        if not self._pair.differences(key, *states):
            del self._suspects[key]
            return
        settled = same and not marks
        tired = suspect.looks >= (self._looks if same else self._looks * _CHANGING)
        if not (settled or tired or suspect.last):
            suspect.due = time.monotonic() + min(self._wait * 2 ** (suspect.looks - 1), max(_LONGEST_WAIT, self._wait))
        elif tired and not suspect.last and (leased := _leased(marks)):
            # A merge leaves it until then.
            suspect.last, suspect.due = True, time.monotonic() + leased
        else:
            del self._suspects[key]
            self._judge(key, states)

    async def _read(self, keys: Collection[K]) -> tuple[dict[K, R], dict[K, R]]:
        return await both(self._pair.read(Side.OLD, keys), self._pair.read(Side.NEW, keys))

    async def _marks(self, suspects: Mapping[K, _Suspected[R]]) -> dict[K, list[Mark]]:
        """Return the marks of those suspects that have any."""
        by_owner: dict[str, dict[str, list[K]]] = defaultdict(lambda: defaultdict(list))
        for key, suspect in suspects.items():
            for owner in {self._pair.owner(record) for record in suspect.states if record is not None}:
                by_owner[owner][self._pair.marked_as(key)].append(key)
        marks: dict[K, list[Mark]] = defaultdict(list)

        async def ask(journal: Journal, owner: str, keys: Mapping[str, Sequence[K]]) -> None:
            for mark in await journal.marks_of(owner, list(keys)):
                for key in keys[mark.key]:
                    marks[key].append(mark)

        asked = (ask(journal, *item) for item in by_owner.items() for journal in self._pair.journals)
        await several(asked, at_once=_ASKED_AT_ONCE)
        return marks


def _leased(marks: Sequence[Mark]) -> float:
    """Return for how many seconds somebody may still be at work under one of some marks."""
    ends = [mark.lease_until for mark in marks if mark.lease_until is not None]
    left = (max(ends) - utc_now()).total_seconds() if ends else 0.0
    return min(max(left, 0.0), _LONGEST_LEASE)

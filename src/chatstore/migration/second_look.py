"""Looking again at records that differ, until it is sure that they really do.

Two reads of two servers are never at one moment, so beside live writes a record may look different and be equal. What
is marked is known to differ, and is repaired first. What changed between two looks is looked at once more. What is not
marked, and was the same on both sides in two looks, differs: a write that lies between the two sides has its mark in
place before its first side shows it, and keeps it until the second side does.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from chatstore.migration.backfill import Repair
from chatstore.migration.pairs import Pair
from chatstore.migration.patience import Patience
from chatstore.models import Mark, Side, utc_now

C = TypeVar("C")
K = TypeVar("K")
R = TypeVar("R")

# In seconds. No lease of ours is longer; a clock that is wrong must not hold up a verify.
_LONGEST_LEASE = 120.0

States: TypeAlias = tuple[R | None, R | None]
"""What the old and the new side hold; None for a record that is not there."""


@dataclass(frozen=True, slots=True)
class SecondLook(Generic[C, K, R]):
    """Sorts out which of some suspects differ for sure.

    Attributes:
        pair: Both sides.
        repair: Merges every marked key.
        patience: How long a server that is away is waited for.
        looks: How often a suspect that is marked, or changes, is looked at.
        wait: Seconds before the second look; doubled before each further one.
    """

    pair: Pair[C, K, R]
    repair: Repair
    patience: Patience
    looks: int
    wait: float

    async def differing(self, suspects: Mapping[K, States[R]]) -> dict[K, States[R]]:
        """Return those that differ, each with what the sides hold."""
        sure: dict[K, States[R]] = {}
        unsure = dict(suspects)
        for look in range(self.looks):
            if not unsure:
                return sure
            if look:
                await asyncio.sleep(self.wait * 2 ** (look - 1))
            before, (marked, unsure) = unsure, await self._look(unsure)
            settled = [key for key, states in unsure.items() if key not in marked and states == before[key]]
            sure.update((key, unsure.pop(key)) for key in settled)
        return sure | await self._when_leases_ended(unsure)

    async def _look(self, suspects: Mapping[K, States[R]]) -> tuple[set[K], dict[K, States[R]]]:
        """Return which suspects were marked, and which differ."""
        # Before the read, not after: a mark that is gone by now was cleared when both sides were equal.
        marks = await self.patience.until_done(lambda: self._marks(suspects))
        if marks:
            await self.patience.until_done(self.repair)
        return set(marks), await self._still_differing(suspects)

    async def _when_leases_ended(self, suspects: dict[K, States[R]]) -> dict[K, States[R]]:
        """Return those that still differ when no writer can be at work any more; a repair leaves them until then."""
        marks = await self.patience.until_done(lambda: self._marks(suspects))
        leases = [mark.lease_until for held in marks.values() for mark in held if mark.lease_until is not None]
        wait = (max(leases) - utc_now()).total_seconds() if leases else 0.0
        if wait <= 0:
            return suspects
        self.patience.on_wait("writers that may still be at work on keys that differ")
        await asyncio.sleep(min(wait, _LONGEST_LEASE))
        return (await self._look(suspects))[1]

    async def _still_differing(self, keys: Collection[K]) -> dict[K, States[R]]:
        old = await self.patience.until_done(lambda: self.pair.read(Side.OLD, keys))
        new = await self.patience.until_done(lambda: self.pair.read(Side.NEW, keys))
        states = {key: (old.get(key), new.get(key)) for key in keys}
        return {key: held for key, held in states.items() if self.pair.differences(key, *held)}

    async def _marks(self, suspects: Mapping[K, States[R]]) -> dict[K, list[Mark]]:
        """Return the marks of those suspects that have any."""
        by_owner: dict[str, dict[str, list[K]]] = defaultdict(lambda: defaultdict(list))
        for key, states in suspects.items():
            for owner in {self.pair.owner(record) for record in states if record is not None}:
                by_owner[owner][self.pair.marked_as(key)].append(key)
        marks: dict[K, list[Mark]] = defaultdict(list)
        for journal in self.pair.journals:
            for owner, keys in by_owner.items():
                for mark in await journal.marks_of(owner, list(keys)):
                    for key in keys[mark.key]:
                        marks[key].append(mark)
        return marks

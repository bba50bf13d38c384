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
from chatstore.models import Side

C = TypeVar("C")
K = TypeVar("K")
R = TypeVar("R")

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
            # Before the read, not after: a mark that is gone by now was cleared when both sides were equal.
            marked = await self.patience.until_done(lambda unsure=unsure: self._marked(unsure))  # type: ignore[misc]
            if marked:
                await self.patience.until_done(self.repair)
            before, unsure = unsure, await self._still_differing(unsure)
            settled = [key for key, states in unsure.items() if key not in marked and states == before[key]]
            sure.update((key, unsure.pop(key)) for key in settled)
        return sure | unsure

    async def _still_differing(self, keys: Collection[K]) -> dict[K, States[R]]:
        old = await self.patience.until_done(lambda: self.pair.read(Side.OLD, keys))
        new = await self.patience.until_done(lambda: self.pair.read(Side.NEW, keys))
        states = {key: (old.get(key), new.get(key)) for key in keys}
        return {key: held for key, held in states.items() if self.pair.differences(key, *held)}

    async def _marked(self, suspects: Mapping[K, States[R]]) -> set[K]:
        by_owner: dict[str, dict[str, list[K]]] = defaultdict(lambda: defaultdict(list))
        for key, states in suspects.items():
            for owner in {self.pair.owner(record) for record in states if record is not None}:
                by_owner[owner][self.pair.marked_as(key)].append(key)
        marked: set[K] = set()
        for journal in self.pair.journals:
            if (await journal.backlog()).marks == 0:
                continue
            for owner, keys in by_owner.items():
                for mark in await journal.marks_of(owner, list(keys)):
                    marked.update(keys.get(mark.key, ()))
        return marked

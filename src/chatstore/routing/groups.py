"""Merging a group of marked keys beside other repairers, so that none does what another does, and none is held up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Generic

from chatstore.errors import ConfigurationError, SchemaError, UnavailableError
from chatstore.interfaces import Progress
from chatstore.models import Mark, Quarantined, Side
from chatstore.routing.complaints import Complaints
from chatstore.routing.merge import Merged
from chatstore.routing.reports import RepairReport
from chatstore.routing.sides import S, Sides
from chatstore.routing.standing import key_of, standing_on

AWAY = (UnavailableError, ConfigurationError, SchemaError)
"""What is the matter with a side, and with no record in particular."""


class GroupMerger(Generic[S]):
    """Merges groups of marks.

    Args:
        sides: The two stores.
        merge: Merges marks of one journal (`merge_chat` or `merge_documents`).
        name: Names a marked record in the quarantine.
        progress: Where it is noted what one side can't take or give.
    """

    def __init__(
        self,
        sides: Sides[S],
        merge: Callable[[Sides[S], Sequence[Mark]], Awaitable[Merged]],
        *,
        name: Callable[[Mark], str],
        progress: Progress | None,
    ) -> None:
        self._sides = sides
        self._merge = merge
        self._name = name
        self._progress = progress
        self._complaints = Complaints()

    async def __call__(self, side: Side, group: Sequence[Mark], now: datetime) -> RepairReport:
        """Merge what is still to be done of a group: not what is merged by now, nor what others are at work on.

        Args:
            side: Whose journal holds the marks.
            group: Marks of some keys. All that stand on these are merged: those of a key may lie far apart.
            now: What time it is, for the leases of those who are at work.

        Raises:
            UnavailableError: A side did not answer.
        """
        ripe, busy = await self._look(side, group, now)
        report = await self._merged(ripe) if ripe else RepairReport()
        return report + RepairReport(left=len(busy))

    async def _look(self, side: Side, group: Sequence[Mark], now: datetime) -> tuple[list[Mark], list[Mark]]:
        """Return which marks still stand on keys that nobody is at work on, and which on those where somebody is."""
        found = await standing_on(self._sides[side].journal, map(key_of, group))
        standing = {mark.token: mark for mark in found}
        leased = {key_of(mark) for mark in standing.values() if mark.is_leased(now)}
        due = {key_of(mark) for mark in group if mark.token in standing}
        still = [mark for mark in standing.values() if key_of(mark) in due]
        ripe = [mark for mark in still if key_of(mark) not in leased]
        return ripe, [mark for mark in still if key_of(mark) in leased]

    async def _merged(self, marks: Sequence[Mark]) -> RepairReport:
        try:
            merged = await self._merge(self._sides, marks)
        except AWAY:
            raise
        except Exception as error:  # noqa: BLE001 - whatever one record does must not keep the others from being merged
            return await self._singled_out(marks, error)
        if merged.quarantined:
            await self._quarantine(merged.quarantined)
        stuck = {key_of(mark) for mark in merged.stuck}
        return RepairReport(len(merged.cleared), len(merged.left), len(stuck))

    async def _singled_out(self, marks: Sequence[Mark], error: Exception) -> RepairReport:
        keys = list(dict.fromkeys(map(key_of, marks)))
        if len(keys) == 1:
            name, reason = self._name(marks[0]), f"{type(error).__name__}: {error}"
            self._complaints.say(f"{name} cannot be merged: {reason}", kind=name)
            await self._quarantine([Quarantined(key=name, reason=reason, raw=b"", size=0)])
            return RepairReport(quarantined=1)
        first = set(keys[: len(keys) // 2])
        report = await self._merged([mark for mark in marks if key_of(mark) in first])
        return report + await self._merged([mark for mark in marks if key_of(mark) not in first])

    async def _quarantine(self, records: Sequence[Quarantined]) -> None:
        if self._progress is not None:
            await self._progress.quarantine(records)

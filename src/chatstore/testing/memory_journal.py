"""A journal and a progress record that live in this process only."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from chatstore.errors import LeaseLostError
from chatstore.interfaces import Journal, Progress
from chatstore.models import Backlog, Mark, MigrationState, Quarantined, Stage


class MemoryJournal(Journal):
    """A `Journal` in a dict; every method is one step, as nothing is awaited in it."""

    def __init__(self) -> None:
        self._marks: dict[str, Mark] = {}
        self._state = MigrationState()

    def set(self, marks: Sequence[Mark]) -> None:
        """Make marks durable as a part of the caller's own step."""
        for mark in marks:
            if self._state.journal_open or not mark.while_open:
                self._marks[mark.token] = mark

    async def add(self, marks: Sequence[Mark]) -> None:
        self.set(marks)

    async def clear(self, marks: Sequence[Mark]) -> None:
        for mark in marks:
            self._marks.pop(mark.token, None)

    async def clear_alone(self, marks: Sequence[Mark], own: Sequence[Mark] = ()) -> Sequence[Mark]:
        known = {mark.token for mark in (*marks, *own)}
        contested = {(mark.user_id, mark.key) for mark in self._marks.values() if mark.token not in known}
        left = [mark for mark in marks if (mark.user_id, mark.key) in contested]
        await self.clear([mark for mark in marks if mark not in left])
        return left

    async def marks(self, *, limit: int, after: Mark | None = None) -> Sequence[Mark]:
        ordered = sorted(self._marks.values(), key=_age)
        return [mark for mark in ordered if after is None or _age(mark) > _age(after)][:limit]

    async def marks_of(self, user_id: str, keys: Sequence[str] | None = None) -> Sequence[Mark]:
        return [
            mark
            for mark in sorted(self._marks.values(), key=_age)
            if mark.user_id == user_id and (keys is None or mark.key in keys)
        ]

    async def backlog(self) -> Backlog:
        return Backlog(len(self._marks), min((mark.at for mark in self._marks.values()), default=None))

    async def state(self) -> MigrationState:
        return self._state

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
        held = self._state
        self._state = MigrationState(
            journal_open=held.journal_open if journal_open is None else journal_open,
            backfilled_at=backfilled_at or held.backfilled_at,
            verified_at=verified_at or held.verified_at,
            differed_at=differed_at or held.differed_at,
            stage=stage or held.stage,
            way_back_closed=held.way_back_closed if way_back_closed is None else way_back_closed,
        )

    async def forget_state(self) -> None:
        self._state = MigrationState()


class MemoryProgress(Progress):
    """A `Progress` in a dict."""

    def __init__(self) -> None:
        self._lease: tuple[str, float] | None = None
        self._limits: str | None = None
        self._checkpoints: dict[str, str] = {}
        self._reports: dict[str, tuple[str, float]] = {}
        self._quarantine: dict[str, Quarantined] = {}

    def _holder(self) -> str | None:
        if self._lease is None or self._lease[1] <= time.monotonic():
            return None
        return self._lease[0]

    async def acquire(self, holder: str, seconds: float) -> None:
        current = self._holder()
        if current not in (None, holder):
            raise LeaseLostError(f"{current} is at work on this migration")
        self._lease = (holder, time.monotonic() + seconds)

    async def release(self, holder: str) -> None:
        if self._holder() == holder:
            self._lease = None

    async def holder(self) -> str | None:
        return self._holder()

    async def limits(self) -> str | None:
        return self._limits

    async def set_limits(self, limits: str | None) -> None:
        self._limits = limits

    async def checkpoint(self, run: str) -> str | None:
        return self._checkpoints.get(run)

    async def save_checkpoint(self, run: str, checkpoint: str | None, holder: str) -> None:
        if self._holder() != holder:
            raise LeaseLostError(f"{holder} does not hold the lease on this migration any more")
        if checkpoint is None:
            self._checkpoints.pop(run, None)
        else:
            self._checkpoints[run] = checkpoint

    async def report(self, run: str) -> str | None:
        report, until = self._reports.get(run, ("", 0.0))
        return report if time.monotonic() < until else None

    async def save_report(self, run: str, report: str | None, *, holder: str | None, seconds: float) -> None:
        if holder is not None and self._holder() != holder:
            raise LeaseLostError(f"{holder} does not hold the lease on this migration any more")
        if report is None:
            self._reports.pop(run, None)
        else:
            self._reports[run] = (report, time.monotonic() + seconds)

    async def quarantine(self, records: Sequence[Quarantined]) -> None:
        self._quarantine.update({record.key: record for record in records})

    async def quarantined(self) -> AsyncIterator[Quarantined]:
        for record in list(self._quarantine.values()):
            yield record

    async def count_quarantined(self) -> int:
        return len(self._quarantine)

    async def release_quarantined(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._quarantine.pop(key, None)


def _age(mark: Mark) -> tuple[datetime, str]:
    return (mark.at, mark.token)

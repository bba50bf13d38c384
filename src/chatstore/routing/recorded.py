"""What both sides' journals remember of a migration, taken together, and known without asking at every call."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

from chatstore.errors import ChatStoreError, UnavailableError
from chatstore.interfaces import Journal
from chatstore.models import MigrationState, Side, Stage
from chatstore.routing.complaints import Complaints
from chatstore.routing.stages import ROUTES, further, reaches

logger = logging.getLogger("chatstore.routing")

_ANSWER_WITHIN = 2.0
_NEVER = float("-inf")
_GRACE = 0.25
"""Seconds to wait for the second journal's first answer, when the first has answered: a side that hangs must not hold
the app up, and both are told everything."""


class RecordedState:
    """Knows the state of one kind's migration.

    Args:
        journals: The old side's and the new side's; one of them alone will do.
        refresh: How old, in seconds, what is known may grow before it is read again, in the background.
        follow: For how many seconds after somebody recorded an earlier stage no further one is recorded: for so long a
            call may yet be served by the flag as it was before, and must not undo that.

    Attributes:
        left_on_new: Whether the new side had marks when the recorded stage was last before `live`: somebody went back,
            and what was written before is not all on the old side yet.
    """

    def __init__(self, journals: Sequence[Journal], *, refresh: float = 5.0, follow: float = 30.0) -> None:
        self.left_on_new = False
        self._journals = journals
        self._refresh = refresh
        self._follow = follow
        self._follow_until = 0.0
        self._stands: Stage | None = None
        self._state: MigrationState | None = None
        self._state_at = _NEVER
        self._first: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._beside: set[asyncio.Task[Any]] = set()
        self._complaints = Complaints()

    @property
    def current(self) -> MigrationState | None:
        """What is known, if it need not be read again now: what `known` would return, without the cost of awaiting."""
        return self._state if time.monotonic() - self._state_at <= self._refresh else None

    @property
    def last(self) -> MigrationState | None:
        """What was known last, however long ago."""
        return self._state

    def expire(self) -> None:
        """Have what is known read again at the next call, in the background. May be called from any thread."""
        self._state_at = _NEVER

    async def known(self) -> MigrationState:
        """Return what is known; it waits only as long as nothing is.

        Raises:
            UnavailableError: Neither side has ever answered.
        """
        if self._state is None:
            if self._first is None or self._first.done():
                self._first = self._start(self._read_first())
            # Not shielded: when `close` ends the task, its cancellation is not the caller's.
            await asyncio.wait([self._first])
        elif self.current is None and (self._refreshing is None or self._refreshing.done()):
            self._refreshing = self._start(self._read_again())
        if self._state is None:
            raise UnavailableError(
                "neither side says how far the migration is, so no side is known to be whole: check both servers"
            )
        return self._state

    async def read(self) -> MigrationState:
        """Ask both sides now, and return what they say; the defaults when neither answers."""
        answers = await asyncio.gather(*map(_state_of, self._journals))
        if states := [state for state in answers if state is not None]:
            state = combined(states)
            if further(state.stage, self._stands) is not state.stage:
                self._follow_until = time.monotonic() + self._follow
            self._stands = state.stage
            self._know(state)
            await self._look_for_marks(state)
        return self._state or MigrationState()

    async def record(self, stage: Stage) -> None:
        """Record a stage that is about to be served, if it is the furthest so far, and nobody just went back.

        From the first stage but `off` on, the journals are open: a write that reaches one side only leaves its mark,
        also at `off`, should somebody go back there.
        """
        state = self._state or MigrationState()
        opens, goes_on = self._opens(stage, state), self._goes_on(stage, state)
        if not goes_on and not opens:
            return
        recorded = stage if goes_on else None
        authority = list(Side).index(ROUTES[stage].first)
        for place, journal in enumerate(self._journals):
            telling = self._tell(journal, recorded, journal_open=True if opens else None)
            if place == authority or len(self._journals) == 1:
                await telling
            else:
                self._start(telling)
        self._know(combined([state, MigrationState(stage=recorded, journal_open=opens)]))

    def is_recorded(self, stage: Stage) -> bool:
        """Return whether there is nothing to record about a stage that is about to be served."""
        state = self._state
        return state is not None and not self._opens(stage, state) and not self._goes_on(stage, state)

    async def close(self) -> None:
        """End what goes on in the background."""
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)

    @staticmethod
    def _opens(stage: Stage, state: MigrationState) -> bool:
        return stage is not Stage.OFF and not state.journal_open and not state.way_back_closed

    def _goes_on(self, stage: Stage, state: MigrationState) -> bool:
        return further(stage, state.stage) is not state.stage and time.monotonic() >= self._follow_until

    async def _read_first(self) -> None:
        states: list[MigrationState] = []

        async def take(journal: Journal) -> None:
            if (state := await _state_of(journal)) is not None:
                states.append(state)
                # What was recorded meanwhile, by a call that the other side's answer sufficed for, counts as well.
                self._know(combined(states if self._state is None else [*states, self._state]))
                self._stands = further(self._stands, state.stage)
                if journal is self._journals[-1]:
                    await self._look_for_marks(state)

        pending: set[asyncio.Task[Any]] = {self._start(take(journal)) for journal in self._journals}
        while pending and not states:
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        if pending:
            await asyncio.wait(pending, timeout=_GRACE)

    async def _read_again(self) -> None:
        await self.read()

    async def _look_for_marks(self, state: MigrationState) -> None:
        """Look whether somebody went back from the new side and left marks there; a side that is away says so later."""
        went_back = state.verified_at is not None and not reaches(state.stage, Stage.LIVE)
        if went_back and len(self._journals) > 1:
            with suppress(ChatStoreError, TimeoutError):
                async with asyncio.timeout(_ANSWER_WITHIN):
                    self.left_on_new = bool(await self._journals[-1].marks(limit=1))

    async def _tell(self, journal: Journal, stage: Stage | None, *, journal_open: bool | None) -> None:
        try:
            async with asyncio.timeout(_ANSWER_WITHIN):
                await journal.remember(stage=stage, journal_open=journal_open)
            self._stands = further(self._stands, stage)
        except (ChatStoreError, TimeoutError) as error:
            self._complaints.say(
                f"could not record {stage or 'that the journal is open'}: {str(error) or 'no answer in time'}",
                kind="record",
            )

    def _know(self, state: MigrationState) -> None:
        self._state, self._state_at = state, time.monotonic()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)
        return task


async def _state_of(journal: Journal) -> MigrationState | None:
    try:
        async with asyncio.timeout(_ANSWER_WITHIN):
            return await journal.state()
    except (ChatStoreError, TimeoutError) as error:
        logger.warning("cannot read the state of the migration: %s", str(error) or "no answer in time")
        return None


def combined(states: Sequence[MigrationState]) -> MigrationState:
    """Return what several journals remember, as one: where one missed what both were told, the other counts."""
    furthest: Stage | None = None
    for state in states:
        furthest = further(furthest, state.stage)
    return MigrationState(
        journal_open=any(state.journal_open for state in states),
        backfilled_at=max((s.backfilled_at for s in states if s.backfilled_at is not None), default=None),
        verified_at=max((s.verified_at for s in states if s.verified_at is not None), default=None),
        differed_at=max((s.differed_at for s in states if s.differed_at is not None), default=None),
        stage=furthest,
        way_back_closed=any(state.way_back_closed for state in states),
    )

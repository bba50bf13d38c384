"""Which stage a call is served at: asked of OpenFeature at every call, and never guessed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails, Reason

from chatstore.errors import ChatStoreError
from chatstore.interfaces import Journal
from chatstore.models import Kind, MigrationState, Side, Stage
from chatstore.routing.complaints import Complaints
from chatstore.routing.stages import ROUTES, further, reaches, refusal

logger = logging.getLogger("chatstore.routing")

FLAGS = {Kind.CHAT: "chatstore-chat-stage", Kind.DOCUMENTS: "chatstore-documents-stage"}
"""The names of the two string flags; their values are those of `Stage`."""

_UNSET = ""
_ANSWER_WITHIN = 2.0
"""Seconds that a call may be held up at most for what a journal remembers."""


@dataclass(slots=True)
class _Seen:
    """What this process knows of a user: the last stage, and until when marks must be looked for."""

    stage: Stage
    unsettled_until: float


class StageResolver:
    """Decides the stage of each call of one kind.

    The flag is evaluated with `targetingKey` = the user id, and the attributes `key` and `operation`. Where it gives no
    usable answer (no provider, an error, an unknown value, a stage that must not be served now) the last stage that
    this user had in this process stands, else the one recorded beside the journals, else `configured`.

    Args:
        kind: Which of the two flags.
        journals: Both sides' journals, where the state of the migration is recorded.
        configured: The stage when nothing else is known.
        client: An OpenFeature client; the default one of the domain `chatstore` when left out.
        refresh: How old, in seconds, the known state of the migration may grow.
        settle: For how long after a flip, in seconds, reads look for marks first.
        users: Of how many users the last stage is kept.
    """

    def __init__(
        self,
        kind: Kind,
        journals: Sequence[Journal],
        *,
        configured: Stage = Stage.OFF,
        client: OpenFeatureClient | None = None,
        refresh: float = 5.0,
        settle: float = 60.0,
        users: int = 100_000,
    ) -> None:
        self._flag = FLAGS[kind]
        self._journals = journals
        self._configured = configured
        self._client = client or api.get_client(domain="chatstore")
        self._refresh = refresh
        self._settle = settle
        self._users = users
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._state = MigrationState()
        self._state_at: float | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._complaints = Complaints()
        self._held: ContextVar[Stage | None] = ContextVar(f"{self._flag}-held", default=None)

    async def resolve(self, user_id: str, key: str, operation: str) -> Stage:
        """Return the stage for one call."""
        held = self._held.get()
        if held is not None:
            return held
        await self._know_state()
        context = EvaluationContext(user_id, {"key": key, "operation": operation})
        details = await self._client.get_string_details_async(self._flag, _UNSET, context)
        stage = self._usable(details)
        if stage is None:
            return self._fallback(user_id)
        await self._record(stage)
        self._note(user_id, stage)
        return stage

    @asynccontextmanager
    async def turn(self, user_id: str, key: str = "") -> AsyncIterator[Stage]:
        """Hold one stage for all calls inside, so that no turn of a conversation straddles a flip."""
        stage = await self.resolve(user_id, key, "turn")
        token = self._held.set(stage)
        try:
            yield stage
        finally:
            self._held.reset(token)

    def unsettled(self, user_id: str) -> bool:
        """Return whether the user's last flip is so recent that the other side may know more."""
        seen = self._seen.get(user_id)
        return seen is not None and time.monotonic() < seen.unsettled_until

    async def refresh(self) -> MigrationState:
        """Read the recorded state now and return it."""
        answers = await asyncio.gather(*map(_state_of, self._journals))
        if states := [state for state in answers if state is not None]:
            self._state = _combined(states)
        self._state_at = time.monotonic()
        return self._state

    async def _know_state(self) -> None:
        if self._state_at is None:
            await self.refresh()
        elif time.monotonic() - self._state_at > self._refresh and self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh_beside())

    async def _refresh_beside(self) -> None:
        try:
            await self.refresh()
        finally:
            self._refreshing = None

    def _usable(self, details: FlagEvaluationDetails[str]) -> Stage | None:
        if details.error_code is not None or details.reason == Reason.ERROR:
            self._complaints.say(
                f"flag {self._flag} has no answer ({details.error_code}): {details.error_message or ''}"
            )
            return None
        if details.value == _UNSET:
            return None
        try:
            stage = Stage(details.value)
        except ValueError:
            names = ", ".join(Stage)
            self._complaints.say(f"flag {self._flag} says {details.value!r}; a stage is one of {names}")
            return None
        reason = refusal(stage, self._state)
        if reason is not None:
            self._complaints.say(f"refused: {reason}")
            return None
        return stage

    def _fallback(self, user_id: str) -> Stage:
        seen = self._seen.get(user_id)
        candidates = (seen.stage if seen else None, self._state.stage, self._configured)
        for stage in candidates:
            if stage is not None and refusal(stage, self._state) is None:
                return stage
        return Stage.COMPLETE if self._state.way_back_closed else Stage.DUALWRITE

    async def _record(self, stage: Stage) -> None:
        """Record the furthest stage, before it is served: it is the floor when the flag provider fails."""
        if further(stage, self._state.stage) is self._state.stage:
            return
        for journal in self._journals:
            try:
                async with asyncio.timeout(_ANSWER_WITHIN):
                    await journal.remember(stage=stage)
            except (ChatStoreError, TimeoutError) as error:
                self._complaints.say(f"could not record stage {stage}: {str(error) or 'no answer in time'}")
        self._state = _combined([self._state, MigrationState(stage=stage)])

    def _note(self, user_id: str, stage: Stage) -> None:
        seen = self._seen.get(user_id)
        now = time.monotonic()
        if seen is None:
            # Another process may have served this user at another stage until just now.
            news = ROUTES[stage].second is not None and reaches(self._state.stage, Stage.LIVE)
            self._seen[user_id] = _Seen(stage, now + self._settle if news else 0.0)
            if len(self._seen) > self._users:
                self._seen.popitem(last=False)
        elif seen.stage is not stage:
            if _reads(seen.stage) is not _reads(stage):
                seen.unsettled_until = now + self._settle
            seen.stage = stage


def _reads(stage: Stage) -> Side:
    return ROUTES[stage].first


async def _state_of(journal: Journal) -> MigrationState | None:
    try:
        async with asyncio.timeout(_ANSWER_WITHIN):
            return await journal.state()
    except (ChatStoreError, TimeoutError) as error:
        logger.warning("cannot read the state of the migration: %s", str(error) or "no answer in time")
        return None


def _combined(states: Sequence[MigrationState]) -> MigrationState:
    """Both journals are told everything; where one missed it, the other's word counts."""
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

"""Which stage a call is served at: asked of OpenFeature at every call, and never guessed."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagEvaluationOptions, Reason

from chatstore.interfaces import Journal
from chatstore.models import Kind, MigrationState, Side, Stage
from chatstore.routing.complaints import Complaints
from chatstore.routing.recorded import RecordedState
from chatstore.routing.stages import ROUTES, further, reaches, refusal

FLAGS = {Kind.CHAT: "chatstore-chat-stage", Kind.DOCUMENTS: "chatstore-documents-stage"}
"""The names of the two string flags; their values are those of `Stage`."""

_UNSET = ""
_OPTIONS = FlagEvaluationOptions()
_STAGES = {stage.value: stage for stage in Stage}


@dataclass(slots=True)
class _Seen:
    """What this process knows of a user: the last stage, when it was, and until when marks must be looked for."""

    stage: Stage
    at: float
    unsettled_until: float = 0.0


@dataclass(slots=True)
class _Turn:
    """A stage that is held for one user's calls, until the turn ends."""

    user_id: str
    stage: Stage
    ended: bool = False


class StageResolver:
    """Decides the stage of each call of one kind.

    The flag is evaluated with `targetingKey` = the user id, and the attributes `key` and `operation`. Where it gives no
    usable answer (no provider, an error, an unknown value, a stage that must not be entered now) the last stage that
    this user had in this process stands, else the one recorded beside the journals, else `configured`.

    Args:
        kind: Which of the two flags.
        journals: Both sides' journals, the old one first, where the state of the migration is recorded.
        configured: The stage when nothing else is known.
        client: An OpenFeature client; the default one of the domain `chatstore` when left out.
        refresh: How old, in seconds, the known state of the migration may grow.
        settle: For how long after a flip, in seconds, reads look for marks first.
        absence: After how many seconds without a call another process may have served a user, at another stage.
        users: Of how many users the last stage is kept: of those who called last.
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
        absence: float = 10.0,
        users: int = 100_000,
    ) -> None:
        self.recorded = RecordedState(journals, refresh=refresh)
        self._flag = FLAGS[kind]
        self._configured = configured
        self._client = client or api.get_client(domain="chatstore")
        self._settle = settle
        self._absence = absence
        self._users = users
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._complaints = Complaints()
        self._turn: ContextVar[_Turn | None] = ContextVar(f"{self._flag}-turn", default=None)

    async def resolve(self, user_id: str, key: str, operation: str) -> Stage:
        """Return the stage for one call.

        Raises:
            UnavailableError: Neither side's journal has ever answered, so that no side is known to be whole.
        """
        turn = self._turn.get()
        if turn is not None and not turn.ended and turn.user_id == user_id:
            return turn.stage
        state = self.recorded.current or await self.recorded.known()
        context = EvaluationContext(user_id, {"key": key, "operation": operation})
        details = await self._client.get_string_details_async(self._flag, _UNSET, context, _OPTIONS)
        stage = self._usable(details, user_id, state)
        if stage is None:
            stage = self._fallback(user_id, state)
        elif not self.recorded.is_recorded(stage):
            await self.recorded.record(stage)
        self._note(user_id, stage, state)
        return stage

    @asynccontextmanager
    async def turn(self, user_id: str, key: str = "") -> AsyncIterator[Stage]:
        """Hold one stage for all of this user's calls inside, so that no turn of a conversation straddles a flip."""
        turn = _Turn(user_id, await self.resolve(user_id, key, "turn"))
        token = self._turn.set(turn)
        try:
            yield turn.stage
        finally:
            # A task that was started inside has the variable for good: what it holds must say that the turn is over.
            turn.ended = True
            self._turn.reset(token)

    def unsettled(self, user_id: str) -> bool:
        """Return whether the user's last flip is so recent that the other side may know more."""
        seen = self._seen.get(user_id)
        return seen is not None and time.monotonic() < seen.unsettled_until

    async def close(self) -> None:
        """End what goes on in the background."""
        await self.recorded.close()

    def _usable(self, details: FlagEvaluationDetails[str], user_id: str, state: MigrationState) -> Stage | None:
        if details.error_code is not None or details.reason == Reason.ERROR:
            reason = f"{details.error_code}: {details.error_message or 'no reason given'}"
            self._complaints.say(f"flag {self._flag} has no answer ({reason})")
            return None
        if details.value == _UNSET:
            return None
        stage = _STAGES.get(details.value)
        if stage is None:
            names = ", ".join(Stage)
            self._complaints.say(f"flag {self._flag} says {details.value!r}; a stage is one of {names}")
            return None
        refused = refusal(stage, state)
        if refused is None:
            return stage
        self._complaints.say(f"refused: {refused}")
        # Whoever is served by a side stays there: the other one may lack what was written since.
        stays = self._is_there(user_id, stage, state) and refusal(stage, state, entering=False) is None
        return stage if stays else None

    def _is_there(self, user_id: str, stage: Stage, state: MigrationState) -> bool:
        seen = self._seen.get(user_id)
        held = [seen.stage if seen else None, state.stage]
        return any(before is not None and _reads(before) is _reads(stage) for before in held)

    def _fallback(self, user_id: str, state: MigrationState) -> Stage:
        seen = self._seen.get(user_id)
        for stage in (seen.stage if seen else None, state.stage or self._configured):
            if stage is not None and refusal(stage, state, entering=False) is None:
                return stage
        return Stage.COMPLETE if state.way_back_closed else Stage.DUALWRITE

    def _note(self, user_id: str, stage: Stage, state: MigrationState) -> None:
        now = time.monotonic()
        seen = self._seen.get(user_id)
        if seen is not None and seen.stage is stage and now - seen.at <= self._absence:
            self._seen.move_to_end(user_id)
            seen.at = now
            return
        if seen is None:
            seen = self._seen[user_id] = _Seen(stage, now)
            unsettled = self._settle if self._may_move(stage, state) else 0.0
            if len(self._seen) > self._users:
                self._seen.popitem(last=False)
        elif _reads(seen.stage) is not _reads(stage):
            unsettled = self._settle
        elif now - seen.at > self._absence and self._may_move(stage, state):
            unsettled = self._absence
        else:
            unsettled = 0.0
        self._seen.move_to_end(user_id)
        seen.stage, seen.at = stage, now
        seen.unsettled_until = max(seen.unsettled_until, now + unsettled if unsettled else 0.0)

    def _may_move(self, stage: Stage, state: MigrationState) -> bool:
        """Return whether another process may just have served a user from the other side."""
        elsewhere = reaches(further(stage, state.stage), Stage.LIVE) or self.recorded.left_on_new
        return elsewhere and not state.way_back_closed


def _reads(stage: Stage) -> Side:
    return ROUTES[stage].first

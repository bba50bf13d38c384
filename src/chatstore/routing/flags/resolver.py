"""Which stage a call is served at: asked of OpenFeature at every call, and never guessed."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache

from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.flag_evaluation import FlagEvaluationDetails, Reason

from chatstore.interfaces import Journal
from chatstore.models import Kind, MigrationState, Side, Stage, utc_now
from chatstore.routing.complaints import Complaints
from chatstore.routing.flags.asking import UNSET, Asking
from chatstore.routing.flags.client import DOMAIN
from chatstore.routing.flags.decision import Ground, StageDecision, StageReport, StageSource
from chatstore.routing.flags.provider import ProviderWatch
from chatstore.routing.flags.tracking import Tracker
from chatstore.routing.recorded import RecordedState
from chatstore.routing.stages import ROUTES, further, reaches, refusal

FLAGS = {Kind.CHAT: "chatstore-chat-stage", Kind.DOCUMENTS: "chatstore-documents-stage"}
"""The names of the two string flags; their values are those of `Stage`."""

logger = logging.getLogger("chatstore.routing")

_ERROR = Reason.ERROR  # an enumeration's member takes a while to look up, and this is asked at every call
_STAGES = {stage.value: stage for stage in Stage}


@dataclass(slots=True)
class _Seen:
    """What this process knows of a user: the last stage, why and when it was, and until when to look for marks."""

    stage: Stage
    ground: Ground
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
        provider: What listens to the client's provider.
        tracker: What the routers tell of their calls; None to tell nothing.
        refresh: How old, in seconds, the known state of the migration may grow.
        settle: For how long after a flip, in seconds, reads look for marks first.
        absence: After how many seconds without a call another process may have served a user, at another stage.
        users: Of how many users the last stage is kept: of those who called last.
        deadline: For how many seconds an evaluation is waited for; see `Asking`.
    """

    def __init__(
        self,
        kind: Kind,
        journals: Sequence[Journal],
        *,
        configured: Stage = Stage.OFF,
        client: OpenFeatureClient | None = None,
        provider: ProviderWatch | None = None,
        tracker: Tracker | None = None,
        refresh: float = 5.0,
        settle: float = 60.0,
        absence: float = 10.0,
        users: int = 100_000,
        deadline: float = 1.0,
    ) -> None:
        self.recorded = RecordedState(journals, refresh=refresh)
        self.tracker = tracker
        self._kind = kind
        self._flag = FLAGS[kind]
        self._configured = configured
        self._client = client or api.get_client(domain=DOMAIN)
        self._ask = Asking(self._flag, deadline=deadline)
        self._provider = provider or ProviderWatch(self._client)
        self._provider.on_change(self._flags_changed)
        self._settle = settle
        self._absence = absence
        self._users = users
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._complaints = Complaints()
        self._fallbacks = 0
        self._last_fallback: _Seen | None = None
        self._failing = False
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
        details = await self._ask(self._client, user_id, key, operation)
        said = None if details.error_code is not None or details.reason == _ERROR else _STAGES.get(details.value)
        if said is not None and refusal(said, state) is None:
            stage, ground = said, None
            if self._failing:
                self._answers_again()
        else:
            stage, ground = self._without(details, said, user_id, state)
        if (ground is None or ground.source is StageSource.FLAG) and not self.recorded.is_recorded(stage):
            await self.recorded.record(stage)
        self._note(user_id, stage, state, details, ground)
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

    def decision(self, user_id: str) -> StageDecision | None:
        """Return what decided the stage of the user's last call in this process; None when that is not known."""
        seen = self._seen.get(user_id)
        return None if seen is None else self._told(seen)

    def report(self) -> StageReport:
        """Return how stages are decided in this process."""
        last, state = self._last_fallback, self.recorded.last
        return StageReport(
            self._flag,
            self._provider.state(),
            None if state is None else state.stage,
            self._fallbacks,
            None if last is None else self._told(last),
        )

    def _told(self, seen: _Seen) -> StageDecision:
        ground = seen.ground
        at = utc_now() - timedelta(seconds=time.monotonic() - seen.at)
        return StageDecision(
            self._kind, seen.stage, ground.source, ground.reason, ground.variant, ground.error_code, ground.why, at
        )

    def _without(
        self, details: FlagEvaluationDetails[str], said: Stage | None, user_id: str, state: MigrationState
    ) -> tuple[Stage, Ground]:
        """Return the stage of a call whose flag gives no usable answer, and tell why."""
        if said is None:
            why = self._no_stage(details)
            stage, source = self._fallback(user_id, state)
        else:
            why = f"refused: {refusal(said, state)}"
            self._complaints.say(why)
            # Whoever is served by a side stays there: the other one may lack what was written since.
            if self._is_there(user_id, said, state) and refusal(said, state, entering=False) is None:
                stage, source = said, StageSource.FLAG
            else:
                stage, source = self._fallback(user_id, state)
        error_code = None if details.error_code is None else str(details.error_code)
        return stage, replace(_ground(details), source=source, error_code=error_code, why=why)

    def _no_stage(self, details: FlagEvaluationDetails[str]) -> str:
        """Tell why an answer is no stage."""
        level = logging.WARNING
        if details.error_code is not None or details.reason == _ERROR:
            why = (
                f"flag {self._flag} has no answer ({details.error_code}: {details.error_message or 'no reason given'})"
            )
            kind = f"no answer {details.error_code}"
        elif details.value == UNSET and details.reason in (None, Reason.DEFAULT, Reason.DISABLED, Reason.UNKNOWN):
            why = kind = f"flag {self._flag} is not set (OpenFeature's reason: {details.reason})"
            # Before any flag is made, this is how it is.
            level = logging.WARNING if details.reason == Reason.DISABLED else logging.INFO
        else:
            why = kind = f"flag {self._flag} says {details.value!r}; a stage is one of {', '.join(Stage)}"
        self._failing |= level == logging.WARNING
        self._complaints.say(why, kind=kind, level=level)
        return why

    def _answers_again(self) -> None:
        self._failing = False
        self._complaints = Complaints()  # Should it fail again, that is news.
        logger.info("flag %s is answered again", self._flag)

    def _flags_changed(self, flags: frozenset[str] | None) -> None:
        # Most often after a verify or the like, which must be known when the new stage is asked for.
        if flags is None or self._flag in flags:
            self.recorded.expire()

    def _is_there(self, user_id: str, stage: Stage, state: MigrationState) -> bool:
        seen = self._seen.get(user_id)
        held = [seen.stage if seen else None, state.stage]
        return any(before is not None and _reads(before) is _reads(stage) for before in held)

    def _fallback(self, user_id: str, state: MigrationState) -> tuple[Stage, StageSource]:
        seen = self._seen.get(user_id)
        recorded = (
            (self._configured, StageSource.CONFIGURED) if state.stage is None else (state.stage, StageSource.RECORDED)
        )
        for stage, source in ([(seen.stage, StageSource.LAST)] if seen else []) + [recorded]:
            if refusal(stage, state, entering=False) is None:
                return stage, source
        return (Stage.COMPLETE if state.way_back_closed else Stage.DUALWRITE), StageSource.SAFE

    def _note(
        self,
        user_id: str,
        stage: Stage,
        state: MigrationState,
        details: FlagEvaluationDetails[str],
        ground: Ground | None,
    ) -> None:
        now = time.monotonic()
        seen = self._seen.get(user_id)
        if ground is not None and ground.source is not StageSource.FLAG:
            self._fallbacks += 1
            self._last_fallback = _Seen(stage, ground, now)
        if seen is not None:
            self._seen.move_to_end(user_id)
            before = seen.ground
            if ground is not None:
                seen.ground = ground
            elif before.why is not None or before.variant != details.variant or before.reason != details.reason:
                seen.ground = _ground(details)
            if seen.stage is stage and now - seen.at <= self._absence:
                seen.at = now
                return
        if seen is None:
            seen = _Seen(stage, ground or _ground(details), now)
            self._seen[user_id] = seen
            unsettled = self._settle if self._may_move(stage, state) else 0.0
            if len(self._seen) > self._users:
                self._seen.popitem(last=False)
        elif _reads(seen.stage) is not _reads(stage):
            unsettled = self._settle
        elif now - seen.at > self._absence and self._may_move(stage, state):
            unsettled = self._absence
        else:
            unsettled = 0.0
        seen.stage, seen.at = stage, now
        seen.unsettled_until = max(seen.unsettled_until, now + unsettled if unsettled else 0.0)

    def _may_move(self, stage: Stage, state: MigrationState) -> bool:
        """Return whether another process may just have served a user from the other side."""
        elsewhere = reaches(further(stage, state.stage), Stage.LIVE) or self.recorded.left_on_new
        return elsewhere and not state.way_back_closed


def _reads(stage: Stage) -> Side:
    return ROUTES[stage].first


def _ground(details: FlagEvaluationDetails[str]) -> Ground:
    reason, variant = details.reason, details.variant
    # A provider that breaks its types here breaks nothing else.
    return _plain(None if reason is None else str(reason), None if variant is None else str(variant))


@lru_cache(maxsize=1000)
def _plain(reason: str | None, variant: str | None) -> Ground:
    """Return the ground of a stage that the flag simply said: one object for all users whom it said it to."""
    return Ground(StageSource.FLAG, reason, variant)

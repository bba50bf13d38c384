"""Telling OpenFeature's tracking what became of calls, so that a flag service can judge a stage by it."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.track import TrackingEventDetails, TrackingValue

from chatstore.errors import ConfigurationError
from chatstore.models import Kind, Side, Stage
from chatstore.routing.aside import Aside
from chatstore.routing.comparison import Comparison
from chatstore.routing.shadow import Mismatch

CALL, COMPARED, MISMATCH, SECOND = "chatstore.call", "chatstore.compared", "chatstore.mismatch", "chatstore.second"
"""The names of the events; docs/flags.md says what each holds."""


@dataclass(frozen=True, slots=True)
class Tracking:
    """How much is told to OpenFeature's tracking.

    Attributes:
        share: Of which share of the calls, of the shadow reads and of the writes to the second side, from 0 to 1. A
            mismatch is told whatever the share.
        per_second: How many events a second at the most, of each kind of record; what is more is dropped.

    Raises:
        ConfigurationError: The share is no number from 0 to 1, or the rate is less than 1.
    """

    share: float = 0.01
    per_second: int = 100

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise ConfigurationError(f"the share of the calls that are tracked is {self.share}; give 0 to 1")
        if self.per_second < 1:
            raise ConfigurationError(
                f"{self.per_second} events a second are no tracking; give 1 or more, or no `tracking`"
            )


@dataclass(frozen=True, slots=True)
class _Event:
    name: str
    user_id: str | None
    details: TrackingEventDetails


class Sender:
    """Hands events to a client, in a thread of its own: whatever a provider does with them, no call waits for it.

    Args:
        client: Whose `track` is called, each time in the context of the call that the event is about.
    """

    def __init__(self, client: OpenFeatureClient) -> None:
        self._client = client
        self._aside = Aside(
            self._track,
            name="chatstore-tracking",
            things="events",
            who="the flag provider",
            does="track",
            failed="an event could not be tracked",
        )

    def send(self, name: str, user_id: str | None, value: float | None, attributes: dict[str, TrackingValue]) -> None:
        """Hand an event over; it is dropped where too many wait already."""
        self._aside.hand_over(_Event(name, user_id, TrackingEventDetails(value, attributes)))

    async def close(self) -> None:
        """Send what waits, for two seconds at the most."""
        await self._aside.close()

    def _track(self, event: _Event) -> None:
        self._client.track(event.name, EvaluationContext(event.user_id), event.details)


class Tracker:
    """Tells what became of the calls of one kind of record.

    Args:
        kind: Which.
        sender: Hands the events on.
        tracking: How much is told.
    """

    def __init__(self, kind: Kind, sender: Sender, tracking: Tracking) -> None:
        self.dropped = 0
        self._kind = kind
        self._sender = sender
        self._share = tracking.share
        self._per_second = tracking.per_second
        self._left = 0
        self._second = 0.0

    def samples(self) -> bool:
        """Return whether the next call is one of those that are told."""
        return random.random() < self._share  # noqa: S311 - a sample, not a secret

    def call(self, user_id: str, operation: str, stage: Stage, side: Side) -> TrackedCall:
        """Return what tells of the call that is made inside of it: how long it took and how it ended.

        Args:
            user_id: For whom the call is.
            operation: The call's name.
            stage: At which stage it is served.
            side: Which side serves it.
        """
        return TrackedCall(self, user_id, operation, stage, side)

    def compared(self, compared: Comparison) -> None:
        """Tell of a read that was compared: how long both sides took, and how far they agreed."""
        if self.samples():
            other = {} if compared.other_seconds is None else {"other_ms": compared.other_seconds * 1000}
            agreed = compared.agreement
            search = {} if agreed is None else {"overlap": agreed.overlap, "score_difference": agreed.score_difference}
            self.tell(
                COMPARED,
                compared.user_id,
                other.get("other_ms"),
                operation=compared.operation,
                outcome=compared.outcome.value,
                served_ms=compared.served_seconds * 1000,
                **other,
                **search,
            )

    def mismatch(self, mismatch: Mismatch) -> None:
        """Tell of a mismatch."""
        self.tell(MISMATCH, mismatch.user_id, None, operation=mismatch.operation, detail=mismatch.detail)

    def second(self, side: Side, writes: int, seconds: float, error: Exception | None) -> None:
        """Tell how long a batch of writes took on the second side, which no user waits for, and its error, if any."""
        if self.samples():
            self.tell(SECOND, None, seconds * 1000, side=side.value, writes=writes, outcome=outcome_of(error))

    def tell(self, name: str, user_id: str | None, value: float | None, **attributes: TrackingValue) -> None:
        """Hand an event over, if the rate allows.

        Args:
            name: The event's.
            user_id: Whose call it tells of; None: nobody's.
            value: The event's one number, if it has one.
            **attributes: What else it says.
        """
        now = time.monotonic()
        if now - self._second >= 1.0:
            self._second, self._left = now, self._per_second
        if self._left:
            self._left -= 1
            self._sender.send(name, user_id, value, {"kind": self._kind.value, **attributes})
        else:
            self.dropped += 1


class TrackedCall:
    """A call that is measured, and told of when it ends, if it is one of the sample."""

    __slots__ = ("_began", "_call", "_tracker")

    def __init__(self, tracker: Tracker, user_id: str, operation: str, stage: Stage, side: Side) -> None:
        self._tracker = tracker
        self._call = (user_id, operation, stage, side)

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.perf_counter() - self._began
        if self._tracker.samples():
            user_id, operation, stage, side = self._call
            self._tracker.tell(
                CALL,
                user_id,
                seconds * 1000,
                operation=operation,
                stage=stage.value,
                side=side.value,
                outcome=outcome_of(error),
            )


def outcome_of(error: BaseException | None) -> str:
    """Return `ok`, or the name of an error's class: its text may hold what is nobody else's business."""
    return "ok" if error is None else type(error).__name__

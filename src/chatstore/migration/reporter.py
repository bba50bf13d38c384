"""Makes the events of a run, from what the run says of itself."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from chatstore.migration.events import OnProgress, ProgressEvent, Step
from chatstore.migration.history import History
from chatstore.models import Kind, LoadSeen

_LATELY = 10.0
"""Seconds: long enough that batches that end together do not make it jump, short enough to see a change."""
_AHEAD_FROM = 60.0
"""Seconds: what is to come is expected to go as the last minute went."""


class Reporter:
    """Makes the events of one run, hands them to its listener, if it has one, and keeps its history.

    Whatever it is told costs microseconds; the run tells it of every batch.

    Args:
        kind: What the run moves or compares.
        listener: Is called with each event.
    """

    def __init__(self, kind: Kind, listener: OnProgress | None) -> None:
        self.seconds_from = time.monotonic()
        self.history = History()
        self._listener = listener
        self._event = ProgressEvent(kind=kind, step=Step.COPY, done=0, total=None, rate=0.0, quarantined=0)
        self._read = self._written = 0.0
        self._first = _Point(self.seconds_from, 0, 0.0, 0.0)
        self._points = _Points(self._first)

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.seconds_from

    @property
    def retries(self) -> int:
        """How often something was tried again."""
        return self._event.retries

    def begin(self, step: Step, *, done: int = 0, total: int | None = None) -> None:
        """Tell that a step begins, with `done` records behind it already."""
        self._first = _Point(time.monotonic(), done, self._read, self._written)
        self._points = _Points(self._first)
        self._event = replace(self._event, step=step, done=done, total=total, waiting_for="")
        self.tell()

    def resumes(self) -> None:
        """Note that the run goes on where an earlier one was ended."""
        self._event = replace(self._event, resumed=True)

    def expect(self, total: int) -> None:
        """Note how many records the step has in all; the next event says so."""
        self._event = replace(self._event, total=total)

    def moved(
        self,
        *,
        done: int,
        quarantined: int = 0,
        differences: int = 0,
        unchanged: int = 0,
        reading: float = 0.0,
        writing: float = 0.0,
    ) -> None:
        """Tell how far the step has come.

        Args:
            done: How many records are behind it.
            quarantined: How many could not be taken, in all.
            differences: How many differences were found, in all.
            unchanged: How many were there already, in all.
            reading: Seconds that were spent waiting for the source, since it was last told.
            writing: The same of the target.
        """
        self._read += reading
        self._written += writing
        self._points.note(_Point(time.monotonic(), done, self._read, self._written))
        self._event = replace(
            self._event,
            done=done,
            quarantined=quarantined,
            differences=differences,
            unchanged=unchanged,
            waiting_for="",
        )
        self.tell()

    def waits(self, reason: str) -> None:
        """Tell that the run waits."""
        self._event = replace(self._event, waiting_for=reason)
        self.tell()

    def tries_again(self, reason: str) -> None:
        """Tell that the run waits for a server that is away, to try again what it could not do."""
        self._event = replace(self._event, retries=self._event.retries + 1)
        self.waits(reason)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Count a batch as under way for the length of the block; the next event says so."""
        self._event = replace(self._event, at_once=self._event.at_once + 1)
        try:
            yield
        finally:
            self._event = replace(self._event, at_once=self._event.at_once - 1)

    def paced(self, *, paused: str = "", limited: str = "") -> None:
        """Tell why the run stands still, or may not move as fast as it could, if an operator wants it so."""
        if (paused, limited) != (self._event.paused, self._event.limited):
            self._event = replace(self._event, paused=paused, limited=limited)
            self.tell()

    def measured(self, *, source: LoadSeen | None = None, target: LoadSeen | None = None) -> None:
        """Note how busy the servers are; the next event says so."""
        self._event = replace(self._event, source_load=source, target_load=target)

    def event(self) -> ProgressEvent:
        """Return how far the run has come by now."""
        now = _Point(time.monotonic(), self._event.done, self._read, self._written)
        lately, ahead = (self._points.before(now.at - seconds) for seconds in (_LATELY, _AHEAD_FROM))
        return replace(
            self._event,
            step=Step.WAIT if self._event.waiting_for else self._event.step,
            rate=_rate(lately, now),
            average=_rate(self._first, now),
            left=self._left(_rate(ahead, now)),
            reading=_each(lately, now, now.read - lately.read),
            writing=_each(lately, now, now.written - lately.written),
            seconds=now.at - self.seconds_from,
        )

    def tell(self) -> None:
        """Hand out how far the run has come by now."""
        event = self.event()
        self.history(event)
        if self._listener is not None:
            self._listener(event)

    def _left(self, rate: float) -> float | None:
        event = self._event
        if event.total is None or rate <= 0:
            return None
        return max(0, event.total - event.done - event.quarantined) / rate


@dataclass(frozen=True, slots=True)
class _Point:
    """How far a step had come at a moment."""

    at: float
    done: int
    read: float
    written: float


class _Points:
    """How far a step had come at each half of a second of its last minute."""

    _APART = 0.5

    def __init__(self, first: _Point) -> None:
        self._points = deque([first])

    def note(self, point: _Point) -> None:
        points = self._points
        if point.at - points[-1].at >= self._APART:
            points.append(point)
        while len(points) > 1 and points[1].at <= point.at - _AHEAD_FROM:
            points.popleft()

    def before(self, at: float) -> _Point:
        """Return the last point before a time, or the first one that is known."""
        return next((point for point in reversed(self._points) if point.at <= at), self._points[0])


def _rate(before: _Point, now: _Point) -> float:
    return (now.done - before.done) / (now.at - before.at) if now.at > before.at else 0.0


def _each(before: _Point, now: _Point, seconds: float) -> float | None:
    return seconds / (now.done - before.done) if seconds > 0 and now.done > before.done else None

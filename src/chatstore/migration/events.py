"""What a run tells while it is under way, for a progress bar or a log. Nothing here prints."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from chatstore.models import Kind


class Step(StrEnum):
    """What a run is doing."""

    COPY = "copy"
    DELETE = "look for what was deleted"
    REPAIR = "repair"
    COMPARE_OLD = "compare old with new"
    COMPARE_NEW = "compare new with old"
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressEvent:
    """How far a run has come.

    Attributes:
        kind: What it moves or compares.
        step: What it is doing.
        done: How many records this step is through with, in all the runs that it was resumed from, too.
        total: How many there are to do, about; None while that is not known.
        rate: Records a second, since this process took the step up.
        quarantined: How many records could not be taken so far.
        differences: How many differences a verify has found so far.
        waiting_for: What the run waits for; empty when it moves.
    """

    kind: Kind
    step: Step
    done: int
    total: int | None
    rate: float
    quarantined: int
    differences: int = 0
    waiting_for: str = ""


OnProgress: TypeAlias = Callable[[ProgressEvent], None]


class Reporter:
    """Makes the events of one run and hands them to its listener, if it has one."""

    def __init__(self, kind: Kind, listener: OnProgress | None) -> None:
        self.seconds_from = time.monotonic()
        self._kind = kind
        self._listener = listener
        self._step = Step.COPY
        self._step_from = self.seconds_from
        self._before = 0
        self._done = 0
        self._total: int | None = None
        self._quarantined = 0
        self._differences = 0

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.seconds_from

    def begin(self, step: Step, *, done: int = 0, total: int | None = None) -> None:
        """Tell that a step begins, with `done` records behind it already."""
        self._step, self._step_from = step, time.monotonic()
        self._before = self._done = done
        self._total = total
        self._tell()

    def expect(self, total: int) -> None:
        """Note how many records the step has in all; the next event says so."""
        self._total = total

    def moved(self, *, done: int, quarantined: int = 0, differences: int = 0) -> None:
        """Tell how far the step has come."""
        self._done, self._quarantined, self._differences = done, quarantined, differences
        self._tell()

    def waits(self, reason: str) -> None:
        """Tell that the run waits."""
        self._tell(waiting_for=reason)

    def _tell(self, *, waiting_for: str = "") -> None:
        if self._listener is None:
            return
        elapsed = time.monotonic() - self._step_from
        self._listener(
            ProgressEvent(
                kind=self._kind,
                step=Step.WAIT if waiting_for else self._step,
                done=self._done,
                total=self._total,
                rate=(self._done - self._before) / elapsed if elapsed > 0 else 0.0,
                quarantined=self._quarantined,
                differences=self._differences,
                waiting_for=waiting_for,
            )
        )

"""What a run tells while it is under way, for a progress bar, a log or a page. Nothing here prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from chatstore.models import Kind, LoadSeen


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

    The source of a verify is the old side, its target the new one.

    Attributes:
        kind: What it moves or compares.
        step: What it is doing.
        done: How many records this step is through with, in all the runs that it was resumed from, too.
        total: How many there are to do, about; None while that is not known.
        rate: Records a second, in the last ten seconds of the step.
        average: Records a second, since this process took the step up.
        left: How many seconds the step takes yet, about; None while that is not known.
        quarantined: How many records could not be taken so far.
        differences: How many differences a verify has found so far.
        unchanged: How many records were there already, as they are, and were not put again.
        retries: How often something was tried again, because a server was away.
        reading: How many seconds of waiting for the source a record took lately; None while that is not known.
        writing: The same of the target.
        source_load: How busy the source's server is; None while that is not known.
        target_load: The same of the target's.
        at_once: How many batches are under way.
        waiting_for: What the run waits for; empty when it moves.
        paused: Why it stands still because an operator wants it so; empty when it may move.
        limited: What an operator's limits are, so that it may not move as fast as it could; empty without any.
        seconds: How long the run is under way.
        resumed: Whether it goes on where an earlier one was ended.
    """

    kind: Kind
    step: Step
    done: int
    total: int | None
    rate: float
    average: float = 0.0
    left: float | None = None
    quarantined: int
    differences: int = 0
    unchanged: int = 0
    retries: int = 0
    reading: float | None = None
    writing: float | None = None
    source_load: LoadSeen | None = None
    target_load: LoadSeen | None = None
    at_once: int = 0
    waiting_for: str = ""
    paused: str = ""
    limited: str = ""
    seconds: float = 0.0
    resumed: bool = False


OnProgress: TypeAlias = Callable[[ProgressEvent], None]
"""Told of each step of a run, on its event loop: it must not block."""

"""What a run did over time, in bounded memory: how long each step took, and samples for a plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chatstore.migration.events import ProgressEvent, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """How long a step took.

    Attributes:
        step: Which.
        seconds: How long, with its waits.
        stood: How many seconds of these it waited for a server, or was paused.
        records: How many records it went through, in this run.
    """

    step: Step
    seconds: float
    stood: float
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a run did in a part of its time.

    Attributes:
        at: When this part ended, in seconds since the run began.
        seconds: How long it was.
        records: How many records the run went through.
        stood: How many seconds of it the run waited for a server, or was paused.
        at_once: How many batches were under way.
        reading: How many seconds of waiting for the source a record took about then; None: not known.
        writing: The same of the target.
        source_latency: How many seconds the source took to answer a question of no weight; None: not known.
        target_latency: The same of the target.
    """

    at: float
    seconds: float
    records: int
    stood: float
    at_once: float
    reading: float | None
    writing: float | None
    source_latency: float | None
    target_latency: float | None

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.seconds if self.seconds > 0 else 0.0


class History:
    """Keeps what a run's events tell; an `OnProgress`.

    Args:
        at_most: How many samples there may be. When there are more, neighbours become one.
        apart: How many seconds a sample is long, at least, while there are few.
    """

    def __init__(self, *, at_most: int = 600, apart: float = 0.25) -> None:
        self.last: ProgressEvent | None = None
        self._at_most = at_most
        self._apart = apart
        self._samples: list[Sample] = []
        self._open: Sample | None = None
        self._steps: list[StepTime] = []

    @property
    def samples(self) -> tuple[Sample, ...]:
        """What the run did, part by part, from its beginning to its last event."""
        return (*self._samples, *([] if self._open is None else [self._open]))

    @property
    def steps(self) -> tuple[StepTime, ...]:
        """What the run did, step by step."""
        return tuple(self._steps)

    def __call__(self, event: ProgressEvent) -> None:
        last, self.last = self.last, event
        if last is None:
            self._steps.append(StepTime(step=event.step, seconds=event.seconds, stood=0.0, records=0))
            return
        within = event.step in (self._steps[-1].step, Step.WAIT)
        part = _between(last, event, records=max(0, event.done - last.done) if within else 0)
        self._sample(part)
        self._steps[-1] = _longer(self._steps[-1], part)
        if self._steps[-1].step is Step.WAIT and not within:
            # The run waited before its first step.
            self._steps[-1] = StepTime(step=Step.WAIT, seconds=event.seconds, stood=event.seconds, records=0)
        if not within:
            self._steps.append(StepTime(step=event.step, seconds=0.0, stood=0.0, records=0))

    def _sample(self, part: Sample) -> None:
        self._open = part if self._open is None else _joined(self._open, part)
        if self._open.seconds < self._apart:
            return
        self._samples.append(self._open)
        self._open = None
        if len(self._samples) >= self._at_most:
            self._samples = _halved(self._samples)
            self._apart *= 2


def thinned(samples: Sequence[Sample], at_most: int) -> Sequence[Sample]:
    """Return samples of the same time, but not more than so many: neighbours become one."""
    while len(samples) > at_most:
        samples = _halved(samples)
    return samples


def _halved(samples: Sequence[Sample]) -> list[Sample]:
    pairs = zip(samples[::2], samples[1::2], strict=False)
    return [*(_joined(*pair) for pair in pairs), *samples[len(samples) // 2 * 2 :]]


def _between(last: ProgressEvent, event: ProgressEvent, *, records: int) -> Sample:
    seconds = max(0.0, event.seconds - last.seconds)
    return Sample(
        at=event.seconds,
        seconds=seconds,
        records=records,
        stood=seconds if last.waiting_for or last.paused else 0.0,
        at_once=event.at_once,
        reading=event.reading,
        writing=event.writing,
        source_latency=event.source_load.latency if event.source_load is not None else None,
        target_latency=event.target_load.latency if event.target_load is not None else None,
    )


def _longer(step: StepTime, part: Sample) -> StepTime:
    return StepTime(
        step=step.step,
        seconds=step.seconds + part.seconds,
        stood=step.stood + part.stood,
        records=step.records + part.records,
    )


def _joined(one: Sample, two: Sample) -> Sample:
    def mean(value: Callable[[Sample], float | None]) -> float | None:
        left, right = value(one), value(two)
        if left is None or right is None:
            return right if left is None else left
        seconds = one.seconds + two.seconds
        return (left * one.seconds + right * two.seconds) / seconds if seconds > 0 else right

    return Sample(
        at=two.at,
        seconds=one.seconds + two.seconds,
        records=one.records + two.records,
        stood=one.stood + two.stood,
        at_once=mean(lambda sample: sample.at_once) or 0.0,
        reading=mean(lambda sample: sample.reading),
        writing=mean(lambda sample: sample.writing),
        source_latency=mean(lambda sample: sample.source_latency),
        target_latency=mean(lambda sample: sample.target_latency),
    )

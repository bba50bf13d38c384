"""What single calls take, of several contenders in turn, so that what else the machine does hits all of them alike."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from benchmarks.results import Row

Blocking = Callable[[], object]
Async = Callable[[], Awaitable[object]]


@dataclass(slots=True)
class Times:
    """What the calls of one contender took: the median over its rounds of each round's percentiles, in µs."""

    _p50s: list[float] = field(default_factory=list)
    _p99s: list[float] = field(default_factory=list)

    def add(self, nanoseconds: list[int]) -> None:
        """Note one round."""
        nanoseconds.sort()
        self._p50s.append(nanoseconds[len(nanoseconds) // 2] / 1000)
        self._p99s.append(nanoseconds[len(nanoseconds) * 99 // 100] / 1000)

    @property
    def p50(self) -> float:
        return median(self._p50s)

    @property
    def p99(self) -> float:
        return median(self._p99s)

    def __str__(self) -> str:
        return f"{self.p50:,.1f} µs (p99 {self.p99:,.1f})"


def race(
    contenders: Mapping[str, Blocking], *, rounds: int, calls: int, prepare: Callable[[int], None]
) -> dict[str, Times]:
    """Time blocking calls; the first round warms up and does not count. `prepare` is called with each one's number."""
    times = {name: Times() for name in contenders}
    for number in range(rounds + 1):
        prepare(number)
        for name, call in contenders.items():
            took = _timed(call, calls)
            if number:
                times[name].add(took)
    return times


async def race_async(
    contenders: Mapping[str, Async],
    *,
    rounds: int,
    calls: int,
    blocking: Mapping[str, Blocking] | None = None,
    prepare: Callable[[int], Awaitable[None]] | None = None,
) -> dict[str, Times]:
    """Time awaited calls, one after another. What a call leaves to do is done between the calls, as far as it is ready.

    Args:
        contenders: What is awaited.
        rounds: How many rounds count; one before them warms up.
        calls: Of each contender, in each round.
        blocking: Contenders that are called and not awaited.
        prepare: Is awaited with its number before each round.
    """
    times = {name: Times() for name in (*contenders, *(blocking or {}))}
    for number in range(rounds + 1):
        if prepare is not None:
            await prepare(number)
        for name, call in contenders.items():
            took = await _timed_async(call, calls)
            if number:
                times[name].add(took)
        for name, act in (blocking or {}).items():
            took = _timed(act, calls)
            if number:
                times[name].add(took)
    return times


def _timed(call: Blocking, calls: int) -> list[int]:
    clock, took = time.perf_counter_ns, []
    for _ in range(calls):
        begun = clock()
        call()
        took.append(clock() - begun)
    return took


async def _timed_async(call: Async, calls: int) -> list[int]:
    clock, took = time.perf_counter_ns, []
    for _ in range(calls):
        begun = clock()
        await call()
        took.append(clock() - begun)
        await asyncio.sleep(0)
    return took


def compared(
    work: str, ours: Times, beside: Mapping[str, Times], *, p50: float | None = None, p99: float | None = None
) -> Iterable[Row]:
    """Yield a row for the median beside each other contender, and one for the 99th percentile where it has a target."""
    for name, theirs in beside.items():
        yield Row(f"{work}, p50", str(ours), f"{name}: {theirs}", ours.p50 / theirs.p50, at_most=p50)
        if p99 is not None:
            yield Row(f"{work}, p99", str(ours), f"{name}: {theirs}", ours.p99 / theirs.p99, at_most=p99)

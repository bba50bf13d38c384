"""The pace of a run, by a clock that jumps to when something is due."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatstore.errors import ConfigurationError, UnavailableError
from chatstore.migration.events import ProgressEvent
from chatstore.migration.limits import Limits, Window
from chatstore.migration.pace import Pace
from chatstore.migration.reporter import Reporter
from chatstore.models import Kind, ServerLoad
from chatstore.testing import MemoryProgress
from tests.migration.virtual_time import in_virtual_time, seconds

MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)


async def silent() -> ServerLoad | None:
    return None


@dataclass
class Server:
    """Answers how busy it is; slowly when many batches are under way."""

    latency: Callable[[], float] = lambda: 0.001
    away: bool = False
    asked: int = 0

    async def load(self) -> ServerLoad:
        self.asked += 1
        if self.away:
            raise UnavailableError("it is away")
        return ServerLoad(latency=self.latency(), cpu_seconds=seconds() / 4, operations=1000.0)


@dataclass
class Run:
    """A run over pages of 200 keys, with so many records each, that notes when its batches began."""

    records_a_key: int = 20
    takes: float = 0.05
    most: int = 4
    source: Callable[[], Awaitable[ServerLoad | None]] = silent
    target: Callable[[], Awaitable[ServerLoad | None]] = silent
    progress: MemoryProgress = field(default_factory=MemoryProgress)
    batches: list[tuple[float, int]] = field(default_factory=list)
    events: list[ProgressEvent] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    pace: Pace = field(init=False)

    async def limit(self, **limits: Any) -> None:
        await self.progress.set_limits(Limits(**limits).encode())

    async def go(self, until: float, meanwhile: Callable[[], Awaitable[None]] | None = None) -> None:
        self.pace = Pace(
            self.progress, Kind.CHAT, Reporter(Kind.CHAT, self.events.append),
            source=self.source, target=self.target, most=self.most, now=lambda: MIDNIGHT + timedelta(seconds=seconds()),
        )  # fmt: skip
        async with self.pace:
            working = [asyncio.create_task(self._work()) for _ in range(self.most * 2)]
            if meanwhile is not None:
                await meanwhile()
            await asyncio.sleep(until - seconds())
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            async with self.pace.turn(200) as turn:
                self.under_way += 1
                self.most_under_way = max(self.most_under_way, self.under_way)
                self.batches.append((seconds(), turn.keys * self.records_a_key))
                await asyncio.sleep(self.takes)
                self.under_way -= 1
                turn.records = turn.keys * self.records_a_key

    def between(self, begin: float, end: float) -> int:
        """Return how many records' batches began in a part of the time."""
        return sum(records for at, records in self.batches if begin <= at < end)


@pytest.mark.parametrize("rate", [15.0, 100.0, 5_000.0, 200_000.0])
def test_a_rate_is_kept_within_a_tenth_and_evenly(rate: float) -> None:
    async def go() -> Run:
        run = Run()
        await run.limit(rate=rate)
        await run.go(40)
        return run

    run = in_virtual_time(go())
    assert run.between(2, 40) == pytest.approx(38 * rate, rel=0.1)
    for begin in range(2, 38, 4):
        # A session of 20 messages is one batch at least.
        assert run.between(begin, begin + 4) == pytest.approx(4 * rate, rel=0.1, abs=20)


def test_without_a_limit_nothing_waits_and_batches_are_whole() -> None:
    async def go() -> float:
        pace = Pace(MemoryProgress(), Kind.CHAT, Reporter(Kind.CHAT, None), source=silent, target=silent, most=4)
        async with pace:
            for _ in range(1000):
                async with pace.turn(200) as turn:
                    assert turn.keys == 200
            return seconds()

    assert in_virtual_time(go()) == 0


def test_a_rate_may_be_changed_while_it_runs() -> None:
    async def go() -> Run:
        run = Run()
        await run.limit(rate=100)

        async def change() -> None:
            await asyncio.sleep(20)
            await run.limit(rate=2000)
            await asyncio.sleep(20)
            await run.limit(rate=50)

        await run.go(60, change)
        return run

    run = in_virtual_time(go())
    assert run.between(5, 20) == pytest.approx(15 * 100, rel=0.1)
    assert run.between(22, 40) == pytest.approx(18 * 2000, rel=0.1)
    assert run.between(42, 60) == pytest.approx(18 * 50, rel=0.2)


def test_one_record_that_is_far_heavier_than_the_others_is_made_up_for() -> None:
    async def go() -> float:
        run = Run()
        await run.limit(rate=100)
        pace = Pace(run.progress, Kind.CHAT, Reporter(Kind.CHAT, None), source=silent, target=silent, most=1)
        async with pace:
            for records in (10, 10, 3000, 10):
                async with pace.turn(1) as turn:
                    turn.records = records
        return seconds()

    assert in_virtual_time(go()) == pytest.approx(30, rel=0.1)


def test_a_batch_that_failed_gives_its_place_back() -> None:
    async def go() -> None:
        pace = Pace(MemoryProgress(), Kind.CHAT, Reporter(Kind.CHAT, None), source=silent, target=silent, most=1)
        async with pace:
            with pytest.raises(UnavailableError):
                async with pace.turn(1):
                    raise UnavailableError("away")
            async with asyncio.timeout(1), pace.turn(1):
                pass

    in_virtual_time(go())


def test_a_paused_run_stands_still_says_so_once_and_goes_on() -> None:
    async def go() -> Run:
        run = Run()

        async def hold() -> None:
            await asyncio.sleep(5)
            await run.limit(paused=True)
            await asyncio.sleep(3600)
            await run.limit()

        await run.go(3610, hold)
        return run

    run = in_virtual_time(go())
    assert run.between(1, 5) > 0
    assert run.between(6.2, 3605) == 0
    assert run.between(3606.3, 3610) > 0
    said = [event.paused for event in run.events if event.paused]
    assert len(said) == 1
    assert "chatstore resume --chat" in said[0]
    assert run.events[-1].paused == ""


def test_outside_of_its_window_a_run_stands_still() -> None:
    async def go() -> Run:
        run = Run(takes=30)
        await run.limit(window=Window.parse("00:10-00:20"))
        await run.go(1800)
        return run

    run = in_virtual_time(go())
    assert run.between(0, 599) == 0
    assert run.between(601, 1200) > 0
    assert run.between(1200, 1800) == 0
    assert "between 00:10-00:20 UTC only" in next(event.paused for event in run.events if event.paused)


def test_no_more_batches_are_under_way_than_an_operator_allows() -> None:
    async def go() -> list[int]:
        run, seen = Run(most=4), []

        async def change() -> None:
            for at_once in (None, 1, 3):
                await run.limit(at_once=at_once)
                await asyncio.sleep(2)
                run.most_under_way = 0
                await asyncio.sleep(5)
                seen.append(run.most_under_way)

        await run.go(30, change)
        return seen

    assert in_virtual_time(go()) == [4, 1, 3]


def test_a_run_makes_room_for_a_server_that_answers_slowly_and_takes_it_again() -> None:
    async def go() -> Run:
        run = Run(takes=0.3)
        # Each batch makes the answers slower by 8 ms; others do so by 30 ms for a while.
        busy = Server(lambda: 0.001 + 0.008 * run.under_way + (0.03 if 60 <= seconds() < 120 else 0))
        run.source = busy.load
        await run.limit(source_latency=0.02)
        await run.go(240)
        return run

    run = in_virtual_time(go())
    free, crowded, after = (run.between(*part) / (part[1] - part[0]) for part in ((10, 60), (80, 120), (150, 240)))
    assert crowded < free / 5
    assert run.between(80, 120) > 0, "it never stops for ever"
    assert after == pytest.approx(free, rel=0.2)
    assert any("slowed down" in event.limited for event in run.events)


def test_a_server_that_does_not_answer_counts_as_slow() -> None:
    async def go() -> int:
        run, server = Run(), Server()
        run.target = server.load
        await run.limit(target_latency=0.02)

        async def vanish() -> None:
            await asyncio.sleep(5)
            server.away = True
            await asyncio.sleep(5)

        await run.go(10.1, vanish)
        return run.pace.at_once

    assert in_virtual_time(go()) == 1


def test_one_slow_answer_among_quick_ones_changes_nothing() -> None:
    async def go() -> Run:
        slow = iter([0.001, 0.001, 0.5] * 1000)
        run = Run()
        run.source = Server(lambda: next(slow)).load
        await run.limit(source_latency=0.02)
        await run.go(60)
        return run

    assert not any("slowed down" in event.limited for event in in_virtual_time(go()).events)


def test_the_load_before_and_meanwhile_is_told() -> None:
    async def go() -> Run:
        run = Run()
        run.source = Server(lambda: 0.001 if seconds() == 0 else 0.003 + 0.002 * run.under_way).load
        await run.go(20)
        return run

    run = in_virtual_time(go())
    mean = run.pace.source_load
    assert mean is not None
    assert mean.latency_before == 0.001
    assert 0.003 < mean.latency <= mean.latency_worst
    assert mean.cpu_share == pytest.approx(0.25)
    assert mean.operations == pytest.approx(1000)
    assert run.pace.target_load is None


def test_a_server_that_never_tells_is_not_asked_again_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    asked = 0

    async def never() -> ServerLoad | None:
        nonlocal asked
        asked += 1
        return None

    async def go() -> None:
        run = Run(target=never)
        await run.limit(target_latency=0.01)
        await run.go(30)

    in_virtual_time(go())
    assert asked == 1
    assert "does not tell how long its answers take" in caplog.text


def test_a_server_that_may_not_be_asked_is_no_slow_one(caplog: pytest.LogCaptureFixture) -> None:
    async def refused() -> ServerLoad | None:
        raise ConfigurationError("give the user the right: +info")

    async def go() -> int:
        run = Run(source=refused)
        await run.limit(source_latency=0.01)
        await run.go(30)
        return run.pace.at_once

    assert in_virtual_time(go()) == 4
    assert caplog.text.count("give the user the right: +info") == 1


def test_limits_that_cannot_be_read_stop_a_run_that_begins_but_none_that_is_under_way() -> None:
    async def go() -> Run:
        run = Run()

        async def spoil() -> None:
            await asyncio.sleep(5)
            await run.progress.set_limits("{")

        await run.go(10, spoil)
        with pytest.raises(ConfigurationError, match="chatstore limits --none"):
            await run.go(20)
        return run

    assert in_virtual_time(go()).between(7, 10) > 0

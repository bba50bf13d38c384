"""What a run tells while it is under way, and what is kept of that."""

import asyncio
import json
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from chatstore.errors import UnavailableError
from chatstore.migration import History, ProgressEvent, Step
from chatstore.migration import reporter as reporting
from chatstore.migration.checkpoint import run_name
from chatstore.migration.snapshot import VERIFY, Snapshot, told
from chatstore.migration.watch import watched
from chatstore.models import Kind, LoadSeen, Side, utc_now
from chatstore.testing import MemoryProgress
from tests.migration.doubles import Watched


class Clock:
    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(reporting, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest.fixture
def events():
    return []


@pytest.fixture
def reporter(clock, events):
    return reporting.Reporter(Kind.CHAT, events.append)


def move(reporter, clock, seconds, rate, *, batch=0.25):
    """Let a step go on for some seconds."""
    done = reporter.event().done
    for step in range(1, int(seconds / batch) + 1):
        clock.now += batch
        reporter.moved(done=done + int(step * batch * rate), reading=batch / 4, writing=batch / 2)


def test_the_rate_is_that_of_the_last_seconds_and_the_average_that_of_the_step(reporter, clock, events):
    reporter.begin(Step.COPY, done=5_000)
    reporter.expect(50_000)
    move(reporter, clock, 100, 100)
    move(reporter, clock, 20, 400)
    assert events[-1].rate == pytest.approx(400, rel=0.1)
    assert events[-1].average == pytest.approx(150, rel=0.05)


def test_what_is_left_is_reckoned_by_the_last_minute(reporter, clock, events):
    reporter.begin(Step.COPY)
    reporter.expect(20_000)
    assert events[-1].left is None
    move(reporter, clock, 100, 10)
    move(reporter, clock, 70, 100)
    assert events[-1].left == pytest.approx((20_000 - 8_000) / 100, rel=0.05)


def test_the_rate_falls_while_nothing_moves_and_nobody_says_so(reporter, clock):
    reporter.begin(Step.COPY)
    move(reporter, clock, 30, 100)
    clock.now += 5
    assert reporter.event().rate == pytest.approx(50, rel=0.1)
    clock.now += 60
    assert reporter.event().rate == 0


def test_it_is_told_how_long_a_record_waits_for_each_server(reporter, clock, events):
    reporter.begin(Step.COPY)
    move(reporter, clock, 20, 1000)
    assert events[-1].reading == pytest.approx(0.00025, rel=0.05)
    assert events[-1].writing == pytest.approx(0.0005, rel=0.05)


def test_a_wait_stays_told_until_something_moves_and_only_attempts_count_as_such(reporter, clock, events):
    reporter.begin(Step.COPY)
    reporter.waits("writes that began before")
    reporter.tries_again("the server is away")
    reporter.tell()
    assert (events[-1].step, events[-1].waiting_for, events[-1].retries) == (Step.WAIT, "the server is away", 1)
    reporter.moved(done=1)
    assert (events[-1].step, events[-1].waiting_for, events[-1].retries) == (Step.COPY, "", 1)


def test_the_batches_under_way_are_counted_when_one_fails_too(reporter):
    with reporter.batch():
        with pytest.raises(UnavailableError), reporter.batch():
            raise_away(reporter.event().at_once)
        assert reporter.event().at_once == 1
    assert reporter.event().at_once == 0


def test_the_history_has_each_step_with_its_time_its_waits_and_its_records(reporter, clock):
    reporter.begin(Step.COPY, done=1_000)
    move(reporter, clock, 10, 100)
    reporter.tries_again("away")
    clock.now += 4
    reporter.tell()
    move(reporter, clock, 10, 100)
    reporter.begin(Step.REPAIR, done=3_000)
    clock.now += 2
    reporter.tell()
    copy, repair = reporter.history.steps
    assert (copy.step, copy.records) == (Step.COPY, 2_000)
    # The time until something moved counts as waiting.
    assert (copy.seconds, copy.stood) == (pytest.approx(24), pytest.approx(4.25))
    assert (repair.step, repair.seconds, repair.stood, repair.records) == (Step.REPAIR, pytest.approx(2), 0, 0)


def test_a_wait_before_the_first_step_is_a_step_of_its_own(reporter, clock):
    reporter.waits("writes that began before")
    clock.now += 60
    reporter.begin(Step.COPY)
    wait, copy = reporter.history.steps
    assert (wait.step, wait.seconds, wait.stood) == (Step.WAIT, pytest.approx(60), pytest.approx(60))
    assert (copy.step, copy.seconds) == (Step.COPY, 0)


@pytest.mark.parametrize("events_in_all", [3, 600, 20_000])
def test_the_samples_of_a_run_are_bounded_and_lose_no_record_and_no_second(events_in_all):
    history = History()
    event = ProgressEvent(kind=Kind.CHAT, step=Step.COPY, done=0, total=None, rate=0.0, quarantined=0)
    load = LoadSeen(latency=0.002, latency_before=0.0, latency_worst=0.0)
    history(event)
    for number in range(1, events_in_all + 1):
        waits = {"step": Step.WAIT, "waiting_for": "x"} if number % 4 == 0 else {}
        history(replace(event, done=number * 7, seconds=number * 0.3, source_load=load, **waits))
    samples = history.samples
    assert len(samples) <= 601
    assert len(samples) >= min(events_in_all, 290)
    assert sum(sample.records for sample in samples) == events_in_all * 7
    assert sum(sample.seconds for sample in samples) == pytest.approx(events_in_all * 0.3)
    assert sum(sample.stood for sample in samples) == pytest.approx((events_in_all - 1) // 4 * 0.3)
    assert [sample.at for sample in samples] == sorted(sample.at for sample in samples)
    assert {round(sample.source_latency, 9) for sample in samples} == {0.002}
    assert max(sample.seconds for sample in samples[:-1]) <= 2 * min(sample.seconds for sample in samples[:-1]) + 0.3


def raise_away(at_once):
    assert at_once == 2
    raise UnavailableError("away")


def snapshot(**fields):
    event = ProgressEvent(kind=Kind.CHAT, step=Step.COPY, done=3, total=9, rate=1.5, quarantined=0, **fields)
    return Snapshot(run=VERIFY, host="h", pid=1, started_at=utc_now(), at=utc_now(), event=event)


def test_a_snapshot_comes_back_as_it_was():
    load = LoadSeen(latency=0.1, latency_before=0.2, latency_worst=0.3, cpu_share=0.4)
    for told_of in (snapshot(), snapshot(target_load=load, waiting_for="é", left=2.0)):
        assert Snapshot.decode(told_of.encode()) == told_of


def test_a_snapshot_of_a_version_that_tells_more_is_understood():
    held = json.loads(snapshot().encode())
    held["more"] = held["event"]["more"] = 1
    assert Snapshot.decode(json.dumps(held)).event.done == 3


@pytest.mark.parametrize("text", ["", "[]", "{}", "3", '{"event": 3}', snapshot().encode().replace("copy", "dance")])
async def test_what_is_no_snapshot_is_no_run(text):
    progress = MemoryProgress()
    await progress.save_report(VERIFY, text, holder=None, seconds=60)
    assert await told(progress, VERIFY) is None


async def test_a_run_is_told_to_other_processes_while_it_lasts_and_is_forgotten_after_it():
    progress, run = MemoryProgress(), run_name(Side.OLD)
    await progress.acquire("me", 60)
    seen = []

    async def ask(name, moment):
        if (name, moment) == ("save_report", "after"):
            seen.append(await told(progress, run))

    reporter = reporting.Reporter(Kind.CHAT, None)
    async with watched(reporter, Watched(progress, ask), run, holder="me"):
        reporter.begin(Step.COPY, done=7)
        while not seen:
            await _a_moment()
    assert (seen[0].event.done, seen[0].event.step, seen[-1]) == (7, Step.COPY, None)


async def test_a_run_goes_on_though_it_cannot_be_told_to_others():
    async def away(name, _moment):
        if name == "save_report":
            raise UnavailableError("away")

    reporter = reporting.Reporter(Kind.CHAT, None)
    async with watched(reporter, Watched(MemoryProgress(), away), VERIFY, holder=None):
        await _a_moment()


def test_the_reports_samples_can_be_written_as_json(reporter, clock):
    reporter.begin(Step.COPY)
    move(reporter, clock, 2, 10)
    assert json.loads(json.dumps([asdict(sample) for sample in reporter.history.samples]))[0]["records"] > 0


async def _a_moment():
    await asyncio.sleep(0.005)

"""The repairer: several share the work, no key holds up another, and what is left can be seen."""

import asyncio
import itertools
import logging
from datetime import timedelta
from types import SimpleNamespace

import pytest

from chatstore.errors import UnavailableError
from chatstore.models import Backlog, Embedding, Mark, NewDocument, Side, Stage, utc_now
from chatstore.routing import chat_repairer, document_repairer
from chatstore.testing import MemoryProgress
from tests.leases import let_leases_run_out
from tests.log import told
from tests.routing.pair import chat_pair, document_pair, marks_of, state_of

ONE = Embedding.of([1.0])


async def missed_sessions(count):
    chat, _ = await chat_pair(Stage.OFF)
    for number in range(count):
        await chat.create_session("u", session_id=f"s{number}")
    return chat.sides


def failing(side, bad, error):
    """Have a store fail whenever it is to take one of these sessions; return how many calls it got."""
    puts, calls = side.put, []

    async def put(changes):
        calls.append(changes)
        if any(bad in (change.session_id, "all") for change in changes):
            raise error
        await puts(changes)

    side.put = put
    return calls


@pytest.mark.parametrize("error", [UnavailableError("too large"), ValueError("a defect")])
async def test_a_key_that_cannot_be_merged_stops_no_other(error):
    sides = await missed_sessions(1200)
    failing(sides.new, "s0", error)
    progress = MemoryProgress()
    repairer = chat_repairer(sides, progress=progress)
    if isinstance(error, UnavailableError):
        with pytest.raises(UnavailableError, match="too large"):
            await repairer.run()
    else:
        assert (await repairer.run()).quarantined == 1
        [record] = [record async for record in progress.quarantined()]
        assert (record.key, record.reason) == ("session/s0", "ValueError: a defect")
    assert await marks_of(sides) == 1


async def test_a_document_that_cannot_be_merged_is_singled_out():
    documents, _ = await document_pair(Stage.OFF)
    await documents.upsert("u", [NewDocument(id=str(i), text="t", embedding=ONE) for i in range(70)])
    puts = documents.sides.new.put

    async def put(changes):
        if any(change.key.id == "7" for change in changes):
            raise ZeroDivisionError
        await puts(changes)

    documents.sides.new.put = put
    report = await document_repairer(documents.sides).run()
    assert (report.merged, report.quarantined) == (69, 1)
    assert await marks_of(documents.sides) == 1


async def test_a_side_that_is_away_is_not_asked_for_every_key():
    sides = await missed_sessions(300)
    calls = failing(sides.new, "all", UnavailableError("away"))
    with pytest.raises(UnavailableError, match="away"):
        await chat_repairer(sides).run()
    assert len(calls) < 20


async def test_what_somebody_else_merged_meanwhile_is_not_merged_again():
    sides = await missed_sessions(100)
    calls = failing(sides.new, "", None)
    reports = await asyncio.gather(*(chat_repairer(sides).run() for _ in range(3)))
    assert await marks_of(sides) == 0
    assert len(calls) < 150
    assert min(report.merged for report in reports) > 10


async def test_keys_on_which_somebody_is_at_work_are_left_to_him():
    documents, _ = await document_pair(Stage.OFF)
    await documents.upsert("u", [NewDocument(id=name, text="t", embedding=ONE) for name in ("a", "b")])
    at_work = Mark(key="a", user_id="u", side=Side.OLD, op="repair", lease_until=utc_now() + timedelta(seconds=60))
    await documents.sides.old.journal.add([at_work])
    report = await document_repairer(documents.sides).run()
    assert (report.merged, report.left) == (1, 2)
    assert {mark.key for mark in await documents.sides.old.journal.marks(limit=9)} == {"a"}


async def test_a_watch_tells_of_each_round_that_changed_something_and_when_nothing_is_marked():
    sides = await missed_sessions(3)
    told = []
    async with asyncio.timeout(30):
        async for done in chat_repairer(sides).rounds(0.01):
            told.append(done)
            if len(told) == 1:
                await sides.old.journal.add([Mark(key="s0", user_id="u", side=Side.OLD, op="append")])
            else:
                break
    assert [(done.report.merged, done.backlog) for done in told] == [(3, Backlog(0, None)), (1, Backlog(0, None))]
    assert str(told[0]).startswith("3 marks cleared (")
    assert str(told[0]).endswith("/s); nothing is marked any more")


async def test_a_watch_in_an_app_logs_its_rounds(caplog, monkeypatch):
    caplog.set_level(logging.INFO, "chatstore.routing")
    sides = await missed_sessions(3)
    logged = asyncio.Event()
    monkeypatch.setattr(caplog.handler, "filter", lambda _: logged.set() or True)
    watch = asyncio.create_task(chat_repairer(sides).watch(0))
    async with asyncio.timeout(30):
        await logged.wait()
    watch.cancel()
    assert caplog.messages[0].startswith("chat: 3 marks cleared (")


async def test_a_watch_tells_what_is_left_and_for_how_long():
    sides = await missed_sessions(3)
    failing(sides.new, "s1", UnavailableError("too large"))
    async with asyncio.timeout(30):
        done = await anext(chat_repairer(sides).rounds(0.01))
    assert done.backlog.marks == 1
    assert "2 marks cleared" in str(done)
    assert "1 mark left, the oldest 0." in str(done)


async def test_a_watch_waits_for_a_side_that_is_away(caplog):
    sides = await missed_sessions(3)
    asked = asyncio.Event()
    puts = sides.new.put

    async def put(changes):
        if not asked.is_set():
            asked.set()
            raise UnavailableError("away")
        await puts(changes)

    sides.new.put = put
    async with asyncio.timeout(30):
        async for done in chat_repairer(sides).rounds(0.01):
            if not done.backlog.marks:
                break
    assert "repair waits: away" in caplog.text
    assert await state_of(sides.old) == await state_of(sides.new)


@pytest.mark.parametrize(
    ("error", "pause"),
    [(None, 1.0), (ValueError("a defect"), 20.0), (UnavailableError("away"), 1.0)],
    ids=["after work", "when nothing can be merged", "while a side is away"],
)
async def test_a_watch_rests_longer_only_where_looking_is_all_it_does(monkeypatch, error, pause):
    sides = await missed_sessions(1)
    failing(sides.new, "s0" if error else "", error)
    paused, sleep = asyncio.Queue(), asyncio.sleep
    clock = itertools.count(step=2)  # each repair takes two seconds

    async def noted(seconds):
        if asyncio.current_task() is not watch:  # what other tests left running sleeps by the same function
            return await sleep(seconds)
        paused.put_nowait(seconds)
        return await sleep(3600)

    monkeypatch.setattr("chatstore.routing.repair.time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr("chatstore.routing.repair.asyncio.sleep", noted)
    watch = asyncio.create_task(chat_repairer(sides).watch(1.0))
    async with asyncio.timeout(30):
        assert await paused.get() == pause
    watch.cancel()


async def test_marks_of_a_key_that_lie_far_apart_are_merged_as_one():
    documents, _ = await document_pair(Stage.OFF)
    documents.sides.new.atomic = False
    for text in ("first", "second"):
        await documents.upsert("u", [NewDocument(id=str(i), text=text, embedding=ONE) for i in range(1500)])
    assert (await document_repairer(documents.sides).run()).merged == 3000
    assert await marks_of(documents.sides) == 0


async def test_a_mark_of_one_side_on_purpose_is_merged_with_another_on_its_key():
    documents, flags = await document_pair(Stage.OFF)
    await documents.upsert("u", NewDocument(id="d", text="first", embedding=ONE))
    flags.set(Stage.DUALWRITE)
    documents.sides.new.broken = True
    await documents.upsert("u", NewDocument(id="d", text="second", embedding=ONE))
    documents.sides.new.broken = False
    await let_leases_run_out(documents.sides)
    await document_repairer(documents.sides, one_sided=False).run()
    assert await marks_of(documents.sides) == 0


@pytest.mark.parametrize("where", ["walk", "marks_of", "backlog"])
async def test_a_defect_is_logged_once_and_ends_no_watch(caplog, where):
    sides = await missed_sessions(3)
    journal = sides.old.journal
    sound, raised, twice = getattr(journal, where), [], asyncio.Event()

    def broken(*args, **kwargs):
        if len(raised) < 2:
            raised.append(ZeroDivisionError("a defect"))
            if len(raised) == 2:
                twice.set()
            raise raised[-1]
        return sound(*args, **kwargs)

    setattr(journal, where, broken)
    watch = asyncio.create_task(chat_repairer(sides).watch(0.001))
    async with told("nothing is marked any more"), asyncio.timeout(30):
        await twice.wait()
        await journal.add([Mark(key="s0", user_id="u", side=Side.OLD, op="append")])
    watch.cancel()
    [complaint] = [record for record in caplog.records if "a defect" in record.message]
    assert complaint.exc_info[0] is ZeroDivisionError


async def test_a_defect_in_one_journal_keeps_nobody_from_merging_the_other():
    sides = await missed_sessions(0)
    await sides.new.journal.add([Mark(key="s", user_id="u", side=Side.NEW, op="append")])
    sides.old.journal.walk = None
    with pytest.raises(TypeError):
        await chat_repairer(sides).run()
    assert not (await sides.new.journal.backlog()).marks

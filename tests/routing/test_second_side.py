"""The second side never fails or slows the app, and what it missed is repaired."""

import asyncio
import logging
from datetime import timedelta

import pytest

from chatstore.errors import BusyError, InvalidRecordError, NotFoundError, UnavailableError
from chatstore.models import DocumentChange, DocumentKey, Mark, NewDocument, NewMessage, Side, Stage, utc_now
from chatstore.routing import (
    DocumentRouter,
    Sides,
    chat_repairer,
    chat_replicator,
    document_repairer,
    document_replicator,
)
from chatstore.routing.documents import LEASE
from chatstore.routing.replication import Handover
from chatstore.testing import MemoryDocuments, MemoryProgress
from chatstore.testing.samples import EAST
from tests.routing.pair import (
    BreakableDocuments,
    chat_pair,
    contents,
    document_pair,
    marks_of,
    neither_side_takes_puts,
    state_of,
)


@pytest.mark.parametrize("stage", list(Stage))
async def test_what_one_side_missed_is_marked_and_repaired(stage):
    chat, _ = await chat_pair(stage)
    with neither_side_takes_puts(chat.sides):
        session = await chat.create_session("u", title="kept")
        [one, two, _] = await chat.append("u", session.id, [NewMessage("user", c) for c in ("one", "two", "three")])
        await chat.edit_message("u", session.id, two.id, content="2")
        await chat.delete_messages("u", session.id, [one.id])
        await chat.pop_message("u", session.id)
        gone = await chat.create_session("u")
        await chat.delete_session("u", gone.id)
    assert await marks_of(chat.sides) == 7
    assert await state_of(chat.sides.old) != await state_of(chat.sides.new)
    report = await chat_repairer(chat.sides).run()
    assert (report.merged, report.left) == (7, 0)
    assert await marks_of(chat.sides) == 0
    assert await state_of(chat.sides.old) == await state_of(chat.sides.new)
    for side in (chat.sides.old, chat.sides.new):
        assert await contents(side, "u", session.id) == ["2"]
        with pytest.raises(NotFoundError):
            await side.get_session("u", gone.id)


@pytest.mark.parametrize("stage", list(Stage))
async def test_documents_that_one_side_missed_are_repaired(stage):
    documents, _ = await document_pair(stage)
    with neither_side_takes_puts(documents.sides):
        [kept, gone] = await documents.upsert("u", [NewDocument(t, embedding=EAST) for t in ("kept", "gone")])
        await documents.delete("u", [gone.id, "nobody"])
    assert await marks_of(documents.sides) == 3
    await document_repairer(documents.sides).run()
    assert await marks_of(documents.sides) == 0
    assert await state_of(documents.sides.old) == await state_of(documents.sides.new)
    for side in (documents.sides.old, documents.sides.new):
        assert await side.get("u", kept.id) == kept
        assert await side.count_documents("u") == 1


async def test_a_slow_second_side_is_not_waited_for():
    chat, _ = await chat_pair(Stage.DUALWRITE, inline=False)
    chat.sides.new.hold = asyncio.Event()
    async with asyncio.timeout(30):
        session = await chat.create_session("u")
        await chat.append("u", session.id, NewMessage("user", "hello"))
    assert await contents(chat.sides.old, "u", session.id) == ["hello"]
    with pytest.raises(NotFoundError):
        await chat.sides.new.get_session("u", session.id)
    chat.sides.new.hold.set()
    await chat.replicator.drain()
    assert await contents(chat.sides.new, "u", session.id) == ["hello"]
    assert await marks_of(chat.sides) == 0


async def test_a_cancelled_call_leaves_no_half():
    chat, _ = await chat_pair(Stage.DUALWRITE)
    session = await chat.create_session("u")
    chat.sides.new.hold = asyncio.Event()
    call = asyncio.create_task(chat.append("u", session.id, NewMessage("user", "hello")))
    await chat.sides.new.held.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    chat.sides.new.hold.set()
    await chat._writes.finish()
    assert await contents(chat.sides.new, "u", session.id) == ["hello"]
    assert await marks_of(chat.sides) == 0


async def test_what_one_side_cannot_take_goes_to_quarantine_and_stops_nothing():
    chat, _ = await chat_pair(Stage.OFF)
    session = await chat.create_session("u", session_id="taken")
    other = await chat.create_session("u")
    await chat.sides.new.create_session("somebody else", session_id="taken")
    progress = MemoryProgress()
    report = await chat_repairer(chat.sides, progress=progress).run()
    assert report.quarantined == 1
    [record] = [record async for record in progress.quarantined()]
    assert record.key == f"session/{session.id}"
    assert "taken by another user" in record.reason
    assert await chat.sides.new.get_session("u", other.id) == other
    assert await marks_of(chat.sides) == 1, "what could not be merged stays marked"
    del chat.sides.new._states["taken"]  # somebody put it right
    assert (await chat_repairer(chat.sides).run()).merged == 1


async def test_a_closed_router_starts_nothing_more():
    chat, _ = await chat_pair(Stage.DUALWRITE, inline=False)
    session = await chat.create_session("u")
    await chat.close()
    await chat.append("u", session.id, NewMessage("user", "late"))
    assert chat.replicator.counts.dropped == 1
    assert await marks_of(chat.sides) == 1


async def test_a_journal_that_fails_is_not_taken_for_a_second_side_that_is_down():
    chat, _ = await chat_pair(Stage.DUALWRITE)
    session = await chat.create_session("u")
    journal = chat.sides.old.journal
    clear = journal.clear

    async def away(marks):
        raise UnavailableError("the journal is away (by the test's order)")

    journal.clear = away
    for text in ("one", "two", "three", "four"):
        await chat.append("u", session.id, NewMessage("user", text))
    assert (chat.replicator.counts.written, chat.replicator.counts.left) == (5, 0)
    assert await marks_of(chat.sides) == chat.replicator.counts.contested == 4
    journal.clear = clear
    await chat.append("u", session.id, NewMessage("user", "five"))
    assert await marks_of(chat.sides) == 0, "what could not be cleared was not tried again"


async def test_it_is_told_when_the_second_side_has_all_writes_again(caplog):
    caplog.set_level(logging.INFO, "chatstore.routing")
    chat, _ = await chat_pair(Stage.DUALWRITE)
    missed = chat.replicator._missed[chat.sides.new.side]
    missed._pause = 0.0
    chat.sides.new.broken = True
    sessions = [await chat.create_session("u") for _ in range(3)]
    for session in sessions:
        await chat.append("u", session.id, NewMessage("user", "hello"))
    counts = chat.replicator.counts
    assert (counts.left + counts.dropped, counts.missed, counts.recovered) == (6, 3, 0)
    looking = missed._looking
    chat.sides.new.broken = False
    await chat_repairer(chat.sides).run()
    async with asyncio.timeout(30):
        await looking
    assert (chat.replicator.counts.missed, chat.replicator.counts.recovered) == (0, 1)
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.INFO] == [
        "the new side has all writes again"
    ]


async def test_a_router_that_closes_says_what_it_leaves(caplog):
    chat, _ = await chat_pair(Stage.DUALWRITE, inline=False)
    chat.sides.new.broken = True
    await chat.create_session("u")
    await chat.close()
    assert "1 writes of the second side are left to the repairer" in caplog.text
    assert await marks_of(chat.sides) == 1


async def test_a_refused_record_does_not_hold_a_batch_up_on_a_side_that_hangs():
    chat, _ = await chat_pair(Stage.DUALWRITE, inline=False)
    chat.replicator._deadline = 0.05
    put, tried = chat.sides.new.put, []

    async def refuse_together_and_hang_alone(changes):
        if len(changes) > 1:
            raise InvalidRecordError("one of them is too great (by the test's order)")
        tried.append(changes)
        await asyncio.Event().wait()

    chat.sides.new.put = refuse_together_and_hang_alone
    chat.replicator._workers = 1
    for _ in range(20):
        await chat.create_session("u")
    async with asyncio.timeout(30):
        await chat.replicator.drain()
    counts = chat.replicator.counts
    assert len(tried) <= 4, "each of them was waited for"
    assert counts.left + counts.dropped == 20
    chat.sides.new.put = put


def two_step_sides():
    """The new one compares and writes in two steps."""
    sides = Sides(MemoryDocuments(Side.OLD), BreakableDocuments(Side.NEW))
    sides.new.atomic = False
    return sides


async def written(sides, name, age=timedelta(0)):
    """Mark a deletion in the old side's journal; return what is left to do on the new one."""
    at = utc_now() - age
    mark = Mark(key=name, user_id="u", side=Side.OLD, op="upsert", at=at, lease_until=at + LEASE)
    await sides.old.journal.add([mark])
    key = DocumentKey("u", name)
    return Handover(Side.NEW, (DocumentChange(key=key, document=None, deleted=2),), (mark,))


async def held_of(side, *names):
    """Those of some documents of which a side knows that they were deleted."""
    page = await side.changes([DocumentKey("u", name) for name in names])
    return {change.key.id for change in page.changes}


async def marked(sides):
    return {mark.key for mark in await sides.old.journal.marks(limit=100)}


@pytest.mark.parametrize("inline", [False, True])
async def test_what_might_arrive_after_its_lease_is_left_to_the_repairer(inline):
    sides = two_step_sides()
    replicator = document_replicator(sides, inline=inline)
    await replicator.hand_over(await written(sides, "soon over", age=timedelta(seconds=31)))
    await replicator.hand_over(await written(sides, "in time", age=timedelta(seconds=29)))
    await replicator.drain()
    assert await held_of(sides.new, "soon over", "in time") == {"in time"}
    assert await marked(sides) == {"soon over"}
    assert (replicator.counts.written, replicator.counts.dropped, replicator.counts.missed) == (1, 1, 1)
    await replicator.close()


async def test_what_waited_for_too_long_is_left_to_the_repairer(monkeypatch):
    sides = two_step_sides()
    replicator = document_replicator(sides)
    sides.new.hold = asyncio.Event()
    await replicator.hand_over(await written(sides, "first"))
    await sides.new.held.wait()
    await replicator.hand_over(await written(sides, "waits"))
    monkeypatch.setattr("chatstore.routing.replication.utc_now", lambda: utc_now() + timedelta(seconds=31))
    sides.new.hold.set()
    await replicator.drain()
    assert await held_of(sides.new, "first", "waits") == {"first"}
    assert await marked(sides) == {"waits"}
    await replicator.close()


def busy_with(side, *names):
    """Have a side's puts find others at work on some documents, and join the rest."""
    put, tried = side.put, []

    async def join_the_idle(changes):
        tried.append([change.key.id for change in changes])
        await put([change for change in changes if change.key.id not in names])
        if any(change.key.id in names for change in changes):
            raise BusyError("others are at work on it (by the test's order)")

    side.put = join_the_idle
    return tried


async def test_a_busy_document_is_not_taken_for_a_second_side_that_is_down():
    sides = two_step_sides()
    replicator = document_replicator(sides, inline=True)
    busy_with(sides.new, "busy")
    for _ in range(replicator._patience):
        await replicator.hand_over(await written(sides, "busy"))
    await replicator.hand_over(await written(sides, "idle"))
    counts = replicator.counts
    assert (counts.written, counts.left, counts.dropped) == (1, replicator._patience, 0)
    assert await marked(sides) == {"busy"}
    await replicator.close()


async def test_a_busy_document_leaves_no_other_of_its_batch_behind():
    sides = two_step_sides()
    replicator = document_replicator(sides)
    tried = busy_with(sides.new, "busy")
    for name in ("one", "busy", "two"):
        await replicator.hand_over(await written(sides, name))
    await replicator.drain()
    assert tried == [["one", "busy", "two"], ["one"], ["busy"], ["two"]]
    assert await marked(sides) == {"busy"}
    assert (replicator.counts.written, replicator.counts.left) == (2, 1)
    await replicator.close()


async def test_a_mark_that_others_contest_has_no_lease_once_both_sides_are_written():
    documents, _ = await document_pair(Stage.DUALWRITE)
    documents.sides.new.atomic = False
    router = DocumentRouter(
        documents.sides, documents.stages, replicator=document_replicator(documents.sides, inline=True)
    )
    contesting = Mark(key="d", user_id="u", side=Side.OLD, op="repair")
    await documents.sides.old.journal.add([contesting])
    await router.upsert("u", NewDocument("text", id="d", embedding=EAST))
    marks = await documents.sides.old.journal.marks(limit=9)
    assert [mark.lease_until for mark in marks] == [None, None]


async def test_writes_that_follow_one_another_at_once_reach_the_second_side_in_one_batch():
    chat, _ = await chat_pair(inline=False)
    chat.replicator = chat_replicator(chat.sides, linger=0.2)
    await chat.create_session("ann", session_id="s")
    await chat.replicator.drain()
    batches = []
    put = chat.sides.new.put

    async def noting(changes):
        batches.append(len(changes))
        await put(changes)

    chat.sides.new.put = noting
    for number in range(10):
        await chat.append("ann", "s", NewMessage(role="user", content=str(number)))
    await chat.replicator.drain()
    assert batches == [10]
    assert await chat.sides.new.count_messages("ann", "s") == 10

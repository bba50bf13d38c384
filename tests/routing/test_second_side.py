"""The second side never fails or slows the app, and what it missed is repaired."""

import asyncio

import pytest

from chatstore.errors import NotFoundError
from chatstore.models import NewDocument, NewMessage, Stage
from chatstore.routing import chat_repairer, document_repairer
from chatstore.testing import MemoryProgress
from chatstore.testing.samples import EAST
from tests.routing.pair import chat_pair, contents, document_pair, marks_of, state_of


@pytest.mark.parametrize("stage", list(Stage))
async def test_what_one_side_missed_is_marked_and_repaired(stage):
    chat, _ = await chat_pair(stage)
    chat.sides.old.broken = chat.sides.new.broken = True
    session = await chat.create_session("u", title="kept")
    [one, two, _] = await chat.append("u", session.id, [NewMessage("user", c) for c in ("one", "two", "three")])
    await chat.edit_message("u", session.id, two.id, content="2")
    await chat.delete_messages("u", session.id, [one.id])
    await chat.pop_message("u", session.id)
    gone = await chat.create_session("u")
    await chat.delete_session("u", gone.id)
    assert await marks_of(chat.sides) == 7
    assert await state_of(chat.sides.old) != await state_of(chat.sides.new)
    chat.sides.old.broken = chat.sides.new.broken = False
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
    documents.sides.old.broken = documents.sides.new.broken = True
    [kept, gone] = await documents.upsert("u", [NewDocument(t, embedding=EAST) for t in ("kept", "gone")])
    await documents.delete("u", [gone.id, "nobody"])
    assert await marks_of(documents.sides) == 3
    documents.sides.old.broken = documents.sides.new.broken = False
    await document_repairer(documents.sides).run()
    assert await marks_of(documents.sides) == 0
    assert await state_of(documents.sides.old) == await state_of(documents.sides.new)
    for side in (documents.sides.old, documents.sides.new):
        assert await side.get("u", kept.id) == kept
        assert await side.count_documents("u") == 1


async def test_a_slow_second_side_is_not_waited_for():
    chat, _ = await chat_pair(Stage.DUALWRITE, inline=False)
    chat.sides.new.hold = asyncio.Event()
    async with asyncio.timeout(1):
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
    await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    chat.sides.new.hold.set()
    await asyncio.sleep(0.01)
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

"""The way back: a backfill from the new side to the old one, and a way back that was closed and is open again."""

from typing import Any

import pytest

from chatstore.errors import StaleSideError
from chatstore.migration import BackfillOptions, Patience, VerifyOptions, VerifyReport, verify_chat
from chatstore.migration.backfill import backfill_chat, backfill_documents
from chatstore.migration.reports import BackfillReport
from chatstore.models import (
    ClearMessages,
    DeleteDocuments,
    DeleteMessages,
    DeleteSession,
    EditMessage,
    Side,
    UpdateSession,
)
from tests.migration.doubles import (
    ChatWorld,
    DocumentWorld,
    KilledError,
    Life,
    PickyChat,
    Watched,
    append,
    chat_content,
    create,
    document_content,
    legacy_session,
    upsert,
)

PATIENCE = Patience(first=0.001, longest=0.01, limit=0.5)
QUICK = BackfillOptions(batch=3, settle_seconds=0, patience=PATIENCE)

UNMARKED = [
    create("s9", "new"),
    append("s0", "one more"),
    UpdateSession(user_id="u", session_id="s1", title="renamed"),
    EditMessage(user_id="u", session_id="s2", message_id="m1", content="edited"),
    DeleteMessages(user_id="u", session_id="s0", message_ids=("m0", "m2")),
    ClearMessages(user_id="u", session_id="s2"),
    append("s2", "after the clearing"),
    DeleteSession(user_id="u", session_id="s3"),
    DeleteSession(user_id="u", session_id="s4"),
    create("s4", "again"),
]
"""What an app wrote to the new side while the way back was closed."""


async def migrated() -> ChatWorld:
    world = ChatWorld()
    await world.old.put([legacy_session(f"s{number}", "a", "b", "c") for number in range(6)])
    await backfill_chat(world.old, world.new, world.progress, repair=world.repair, options=QUICK)
    assert (await verify(world)).equal
    return world


async def closed() -> ChatWorld:
    """A world whose way back was closed, and in which much was written since."""
    world = await migrated()
    await close(world)
    for command in UNMARKED:
        await world.write(world.new, command)
    assert (await world.new.journal.backlog()).marks == 0
    return world


async def close(world: ChatWorld) -> None:
    for journal in (world.old.journal, world.new.journal):
        await journal.remember(way_back_closed=True, journal_open=False)


async def bring_back(world: ChatWorld, **changes: Any) -> BackfillReport:
    parts = {"source": world.new, "target": world.old, "progress": world.progress} | changes
    return await backfill_chat(
        parts["source"], parts["target"], parts["progress"], repair=world.repair, options=QUICK
    )  # fmt: skip


async def verify(world: ChatWorld, **changes: Any) -> VerifyReport:
    options = VerifyOptions(batch=4, looks=4, wait=0.001, patience=PATIENCE)
    new = changes.get("new", world.new)
    return await verify_chat(world.old, new, world.progress, repair=world.repair, options=options)


async def is_closed(world: ChatWorld) -> bool:
    return any([(await journal.state()).way_back_closed for journal in (world.old.journal, world.new.journal)])


async def test_what_was_written_and_deleted_without_a_mark_comes_back() -> None:
    world = await closed()
    assert (await bring_back(world)).complete
    content = await chat_content(world.old)
    assert content == await chat_content(world.new)
    assert "s3" not in content
    assert content["s4"].title == "again"


async def test_an_old_side_that_was_emptied_is_filled() -> None:
    world = await migrated()
    for command in UNMARKED:
        await world.write(world.new, command)
    world.old = type(world.old)(Side.OLD)
    assert (await bring_back(world)).complete
    assert await chat_content(world.old) == await chat_content(world.new)


async def test_a_way_back_that_was_closed_is_open_after_a_backfill_and_a_verify() -> None:
    world = await closed()
    await bring_back(world)
    assert await is_closed(world)
    report = await verify(world)
    assert (report.equal, report.reopened, report.way_back_closed) == (True, True, False)
    assert not await is_closed(world)
    await world.write(world.new, append("s1", "after the verify"))
    assert (await world.new.journal.backlog()).marks == 1


async def test_a_difference_keeps_the_way_back_closed() -> None:
    world = await closed()
    await bring_back(world)
    del world.old._states["s1"].messages["m1"]
    report = await verify(world)
    assert (report.difference_count, report.reopened, report.way_back_closed) == (1, False, True)
    assert await is_closed(world)


async def test_a_verify_alone_does_not_open_it_though_both_sides_are_equal() -> None:
    world = await migrated()
    await close(world)
    report = await verify(world)
    assert (report.equal, report.reopened) == (True, False)
    assert await is_closed(world)


async def test_an_old_side_that_may_be_behind_is_not_copied_before_the_way_back_is_open_again() -> None:
    world = await closed()
    before = await chat_content(world.new)
    with pytest.raises(StaleSideError, match="chatstore migrate --back --chat"):
        await backfill_chat(world.old, world.new, world.progress, repair=world.repair, options=QUICK)
    assert await chat_content(world.new) == before
    assert not (await world.old.journal.state()).journal_open
    await bring_back(world)
    await verify(world)
    await backfill_chat(world.old, world.new, world.progress, repair=world.repair, options=QUICK)
    assert await chat_content(world.new) == before


async def test_a_way_back_that_is_closed_during_the_verify_stays_closed() -> None:
    world = await closed()
    await bring_back(world)
    done = False

    async def close_once(name: str, moment: str) -> None:
        nonlocal done
        if (name, moment) == ("keys", "page") and not done:
            done = True
            await close(world)

    report = await verify(world, new=Watched(world.new, close_once))
    assert done
    assert (report.equal, report.reopened) == (True, False)
    assert await is_closed(world)


async def test_a_way_back_killed_at_any_moment_is_finished_by_the_next_run() -> None:
    life = Life(10**6)
    reference = await closed()
    await bring_back(reference, **watched(reference, life))
    moments = 10**6 - life.left
    assert moments > 30
    for moment in range(1, moments + 1):
        world = await closed()
        with pytest.raises(KilledError):
            await bring_back(world, **watched(world, Life(moment)))
        world.progress._lease = None  # It ran out.
        assert (await bring_back(world)).complete
        assert await chat_content(world.old) == await chat_content(world.new), moment
        assert (await verify(world)).reopened, moment


def watched(world: ChatWorld, life: Life) -> dict[str, Any]:
    parts = {"source": world.new, "target": world.old, "progress": world.progress}
    return {name: Watched(part, life.told) for name, part in parts.items()}


async def test_a_way_back_that_is_resumed_does_not_disturb_a_backfill_that_was_stopped() -> None:
    world = await migrated()
    await world.progress.acquire("stopped", 60)
    await world.progress.save_checkpoint("backfill old to new", "where it was", "stopped")
    await world.progress.release("stopped")
    await bring_back(world)
    assert await world.progress.checkpoint("backfill old to new") == "where it was"
    assert await world.progress.checkpoint("backfill new to old") is None


async def test_what_the_old_side_cannot_take_goes_to_quarantine() -> None:
    world = ChatWorld(old=PickyChat(Side.OLD))
    await world.new.put([legacy_session("s1", "good", "bad", "good"), legacy_session("s2", "good")])
    report = await bring_back(world)
    assert (report.quarantined, report.complete) == (1, False)
    assert [record.key async for record in world.progress.quarantined()] == ["session/s1/message/m1"]
    assert [message.content for message in await world.old.messages("u", "s1")] == ["good", "good"]


async def test_documents_that_were_written_and_deleted_without_a_mark_come_back() -> None:
    world = DocumentWorld()
    for number in range(6):
        await world.write(world.old, upsert(f"d{number}", "before"))
    await backfill_documents(world.old, world.new, world.progress, repair=world.repair, options=QUICK)
    for journal in (world.old.journal, world.new.journal):
        await journal.remember(way_back_closed=True, journal_open=False)
    await world.write(world.new, upsert("d0", "edited"))
    await world.write(world.new, upsert("d9", "new"))
    await world.write(world.new, DeleteDocuments(user_id="u", ids=("d3",)))
    report = await backfill_documents(world.new, world.old, world.progress, repair=world.repair, options=QUICK)
    assert report.complete
    content = await document_content(world.old)
    assert content == await document_content(world.new)
    assert sorted(key.id for key in content) == ["d0", "d1", "d2", "d4", "d5", "d9"]

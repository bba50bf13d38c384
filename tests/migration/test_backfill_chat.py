"""A backfill of sessions and messages, beside an app that writes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chatstore.errors import LeaseLostError, UnavailableError
from chatstore.migration.backfill import BackfillOptions, backfill_chat
from chatstore.migration.batches import in_order
from chatstore.migration.events import ProgressEvent, Step
from chatstore.migration.patience import Patience
from chatstore.migration.reports import BackfillReport, Tally
from chatstore.models import (
    ClearMessages,
    DeleteMessages,
    DeleteSession,
    EditMessage,
    KeyPage,
    PopMessage,
    Quarantined,
    Side,
    UpdateSession,
)
from chatstore.testing import MemoryChat
from tests.migration.doubles import (
    ChatWorld,
    KilledError,
    Life,
    Once,
    PickyChat,
    Watched,
    append,
    chat_content,
    create,
    legacy_session,
)

QUICK = BackfillOptions(batch=3, patience=Patience(first=0.001, longest=0.01, limit=0.5))


async def filled(sessions: int = 5, messages: int = 3) -> ChatWorld:
    world = ChatWorld()
    texts = [f"text {number}" for number in range(messages)]
    await world.old.put([legacy_session(f"s{number}", *texts) for number in range(sessions)])
    return world


async def backfill(world: ChatWorld, **changes: Any) -> BackfillReport:
    parts = {"source": world.old, "target": world.new, "progress": world.progress, "repair": world.repair} | changes
    source, target, progress = parts.pop("source"), parts.pop("target"), parts.pop("progress")
    return await backfill_chat(source, target, progress, **({"options": QUICK} | parts))


async def test_every_record_is_on_the_other_side_afterwards() -> None:
    world = await filled()
    report = await backfill(world)
    assert await chat_content(world.new) == await chat_content(world.old)
    assert report.copied == Tally(sessions=5, messages=15)
    assert report.complete
    assert not report.resumed


async def test_the_end_is_remembered_in_both_journals() -> None:
    world = await filled()
    await backfill(world)
    for journal in (world.old.journal, world.new.journal):
        state = await journal.state()
        assert state.journal_open
        assert state.backfilled_at is not None


async def test_a_second_run_changes_nothing() -> None:
    world = await filled()
    await backfill(world)
    before = [page async for page in world.new.scan()]
    again = await backfill(world)
    assert (again.copied, again.unchanged) == (Tally(), Tally(sessions=5, messages=15))
    assert [page async for page in world.new.scan()] == before


async def test_a_second_run_brings_back_what_somebody_removed_from_the_target() -> None:
    world = await filled()
    await backfill(world)
    name = sorted(world.new._states)[2]
    world.new._states[name].messages.clear()
    again = await backfill(world)
    assert (again.copied, again.unchanged) == (Tally(sessions=1, messages=3), Tally(sessions=4, messages=12))
    assert await chat_content(world.new) == await chat_content(world.old)


async def test_it_works_in_the_other_direction() -> None:
    world = ChatWorld()
    await world.new.put([legacy_session("s", "a", "b")])
    report = await backfill(world, source=world.new, target=world.old)
    assert (report.source, report.target) == (Side.NEW, Side.OLD)
    assert await chat_content(world.old) == await chat_content(world.new)


async def test_a_session_with_many_messages_comes_over_in_parts() -> None:
    world = ChatWorld()
    await world.old.put([legacy_session("long", *map(str, range(2500))), legacy_session("short", "a")])
    report = await backfill(world)
    assert report.copied == Tally(sessions=2, messages=2501)
    assert await chat_content(world.new) == await chat_content(world.old)


async def test_a_run_killed_at_any_moment_is_finished_by_the_next_one() -> None:
    reference = await filled()
    moments = 0
    life = Life(10**6)
    await backfill_chat(
        Watched(reference.old, life.told), Watched(reference.new, life.told), Watched(reference.progress, life.told),
        repair=reference.repair, options=QUICK,
    )  # fmt: skip
    moments = 10**6 - life.left
    assert moments > 30
    for moment in range(1, moments + 1):
        world = await filled()
        life = Life(moment)
        with pytest.raises(KilledError):
            await backfill_chat(
                Watched(world.old, life.told), Watched(world.new, life.told), Watched(world.progress, life.told),
                repair=world.repair, options=QUICK,
            )  # fmt: skip
        world.progress._lease = None  # It ran out.
        report = await backfill(world)
        assert report.complete
        assert await chat_content(world.new) == await chat_content(world.old), moment
        assert await world.progress.checkpoint("backfill old to new") is None


async def test_a_killed_run_is_not_started_over() -> None:
    world = await filled(sessions=20)
    read: list[str] = []
    killer = Once("put", "after", _raise(KilledError()), after=5)
    with pytest.raises(KilledError):
        await backfill(world, target=Watched(world.new, killer.told))
    world.progress._lease = None

    async def note(name: str, moment: str) -> None:
        if (name, moment) == ("fetch", "page"):
            read.append(name)

    report = await backfill(world, source=Watched(world.old, note))
    assert report.resumed
    assert 10 <= len(read) < 20
    assert report.copied == Tally(sessions=20, messages=60)


async def test_a_checkpoint_is_not_trusted_when_a_journal_was_closed_since() -> None:
    world = await filled(sessions=20)
    killer = Once("put", "after", _raise(KilledError()), after=5)
    with pytest.raises(KilledError):
        await backfill(world, target=Watched(world.new, killer.told))
    world.progress._lease = None
    await world.old.journal.forget_state()
    await world.write(world.old, append("s0", "unmarked"))
    assert not (await backfill(world)).resumed
    assert await chat_content(world.new) == await chat_content(world.old)


async def test_a_checkpoint_is_not_trusted_when_the_layout_or_the_prefix_is_another() -> None:
    class Elsewhere(MemoryChat):
        space = "another"  # type: ignore[assignment]

    world = await filled(sessions=20)
    killer = Once("put", "after", _raise(KilledError()), after=5)
    with pytest.raises(KilledError):
        await backfill(world, target=Watched(world.new, killer.told))
    world.progress._lease = None
    source = Elsewhere(Side.OLD)
    source._states, source.journal = world.old._states, world.old.journal
    report = await backfill(world, source=source)
    assert not report.resumed
    assert report.copied == Tally(sessions=20, messages=60)


async def test_two_at_once_are_refused() -> None:
    world = await filled()

    async def second() -> None:
        with pytest.raises(LeaseLostError, match="at work"):
            await backfill(world)

    meanwhile = Once("put", "before", second)
    await backfill(world, target=Watched(world.new, meanwhile.told))
    assert meanwhile.done


async def test_a_runner_that_lost_its_lease_stops_and_moves_no_checkpoint() -> None:
    world = await filled()

    async def lose() -> None:
        world.progress._lease = None
        await world.progress.acquire("another", 60)

    losing = Once("put", "after", lose)
    with pytest.raises(LeaseLostError):
        await backfill(world, target=Watched(world.new, losing.told))
    assert await world.progress.checkpoint("backfill old to new") is None
    assert (await world.old.journal.state()).backfilled_at is None


async def test_a_runner_that_slept_through_its_lease_writes_nothing_more() -> None:
    world = await filled()

    async def sleep_through() -> None:
        time.sleep(0.1)  # noqa: ASYNC251 - the whole process sleeps, its heartbeat too
        await world.progress.acquire("another", 60)

    sleeping = Once("fetch", "page", sleep_through)
    options = BackfillOptions(batch=3, lease_seconds=0.05)
    with pytest.raises(LeaseLostError):
        await backfill(world, source=Watched(world.old, sleeping.told), options=options)
    assert await world.progress.checkpoint("backfill old to new") is None
    assert (await world.old.journal.state()).backfilled_at is None


async def test_a_heartbeat_keeps_the_lease_of_a_slow_run() -> None:
    world = await filled(sessions=2)
    options = BackfillOptions(batch=1, lease_seconds=0.15)

    async def dawdle(name: str, _moment: str) -> None:
        if name == "put":
            await asyncio.sleep(0.2)
            with pytest.raises(LeaseLostError):
                await world.progress.acquire("another", 60)

    await backfill(world, target=Watched(world.new, dawdle), options=options)


async def test_a_server_that_is_away_for_a_while_is_waited_for() -> None:
    world = await filled()
    events: list[ProgressEvent] = []
    away = [Once(name, moment, _raise(UnavailableError(f"{name} away")), after=1) for name, moment in (
        ("put", "before"), ("put", "after"), ("fetch", "page"), ("save_checkpoint", "after"),
    )]  # fmt: skip

    async def told(name: str, moment: str) -> None:
        for outage in away:
            await outage.told(name, moment)

    await backfill(
        world,
        source=Watched(world.old, told), target=Watched(world.new, told), progress=Watched(world.progress, told),
        on_progress=events.append,
    )  # fmt: skip
    assert all(outage.done for outage in away)
    assert {"put away", "fetch away"} <= {event.waiting_for for event in events if event.step is Step.WAIT}
    assert await chat_content(world.new) == await chat_content(world.old)


async def test_a_server_that_stays_away_ends_the_run_which_can_be_resumed() -> None:
    world = await filled()

    async def away(name: str, _moment: str) -> None:
        if name == "put":
            raise UnavailableError("the new side is away")

    options = BackfillOptions(batch=3, patience=Patience(first=0.001, limit=0.005))
    with pytest.raises(UnavailableError):
        await backfill(world, target=Watched(world.new, away), options=options)
    await backfill(world)
    assert await chat_content(world.new) == await chat_content(world.old)


async def test_one_message_that_is_refused_goes_to_quarantine_alone() -> None:
    world = ChatWorld(new=PickyChat(Side.NEW))
    await world.old.put([legacy_session(f"s{n}", "a", "b", "c") for n in range(5)])
    await world.old.put([legacy_session("s/x", "good", "bad", "good")])
    report = await backfill(world)
    assert report.quarantined == 1
    assert not report.complete
    assert report.copied == Tally(sessions=6, messages=17)
    (entry,) = [record async for record in world.progress.quarantined()]
    assert entry.key == "session/s%2Fx/message/m1"
    assert entry.reason == "the content is bad"
    assert b'"content": "bad"' in entry.raw
    assert [m.content for m in await world.new.messages("u", "s/x")] == ["good", "good"]


async def test_a_session_that_is_refused_goes_to_quarantine_with_its_messages() -> None:
    world = ChatWorld(new=PickyChat(Side.NEW))
    await world.old.put([legacy_session("s1", "a"), legacy_session("s2", "a", "b", title="bad"), legacy_session("s3")])
    report = await backfill(world)
    assert [record.key async for record in world.progress.quarantined()] == ["session/s2"]
    assert report.copied == Tally(sessions=2, messages=1)
    assert set(await chat_content(world.new)) == {"s1", ("s1", "m0"), "s3"}


async def test_what_another_user_holds_on_the_target_goes_to_quarantine() -> None:
    world = await filled(sessions=2)
    await world.new.create_session("someone else", session_id="s0")
    report = await backfill(world)
    assert [record.key async for record in world.progress.quarantined()] == ["session/s0"]
    assert report.quarantined == 1


async def test_what_the_source_cannot_read_goes_to_quarantine() -> None:
    world = await filled()
    unreadable = Quarantined(key="session:x", reason="not a hash", raw=b"\xff", size=1)

    class HalfReadable(MemoryChat):
        async def keys(self, cursor: str | None = None) -> Any:
            yield KeyPage((), (unreadable,), None)
            async for page in super().keys(cursor):
                yield page

    source = HalfReadable(Side.OLD)
    source._states = world.old._states
    report = await backfill(world, source=source)
    assert report.quarantined == 1
    (entry,) = [record async for record in world.progress.quarantined()]
    assert (entry.key, entry.raw) == ("session:x", b"\xff")
    # Mended, it is forgotten by the next run.
    assert (await backfill(world)).complete
    assert await world.progress.count_quarantined() == 0


async def test_a_session_deleted_after_it_was_read_does_not_come_back() -> None:
    world = await filled()
    deleting = Once("put", "before", lambda: world.write(world.old, DeleteSession(user_id="u", session_id="s0")))
    await backfill(world, target=Watched(world.new, deleting.told))
    assert deleting.done
    assert "s0" not in await chat_content(world.new)
    assert await chat_content(world.new) == await chat_content(world.old)


async def test_a_session_deleted_on_both_sides_is_not_brought_back_by_a_late_put() -> None:
    world = await filled()
    deleting = Once("put", "before", lambda: world.write_both(DeleteSession(user_id="u", session_id="s0")))
    await backfill(world, target=Watched(world.new, deleting.told))
    assert "s0" not in await chat_content(world.new)


LIVE_WRITES = [
    create("t9", "new"),
    append("s0", "one more"),
    append("s4", "one", "two"),
    UpdateSession(user_id="u", session_id="s1", title="renamed"),
    EditMessage(user_id="u", session_id="s2", message_id="m1", content="edited"),
    DeleteMessages(user_id="u", session_id="s0", message_ids=("m0", "m2")),
    PopMessage(user_id="u", session_id="s3"),
    ClearMessages(user_id="u", session_id="s2"),
    append("s2", "after the clearing"),
    DeleteSession(user_id="u", session_id="s3"),
    create("s3", "again"),
]


@pytest.mark.parametrize("stage", ["off", "dualwrite"])
@pytest.mark.parametrize(
    "moment", [("fetch", "page"), ("put", "before"), ("put", "after"), ("save_checkpoint", "after")]
)
async def test_live_writes_during_the_backfill_end_equal_on_both_sides(stage: str, moment: tuple[str, str]) -> None:
    for after in range(5):
        world = await filled(sessions=12)

        async def live(world: ChatWorld = world) -> None:
            for command in LIVE_WRITES:
                await (world.write_both(command) if stage == "dualwrite" else world.write(world.old, command))

        writing = Once(*moment, live, after=after)
        await backfill(
            world,
            source=Watched(world.old, writing.told), target=Watched(world.new, writing.told),
            progress=Watched(world.progress, writing.told),
        )  # fmt: skip
        await world.repair()  # In an app it runs all the time.
        assert writing.done
        content = await chat_content(world.new)
        assert content == await chat_content(world.old)
        assert content["s3"].title == "again"
        assert ("s3", "m0") not in content
        assert (await world.old.journal.backlog()).marks == 0


async def test_the_listener_hears_how_far_the_run_came() -> None:
    world = await filled()
    events: list[ProgressEvent] = []
    await backfill(world, on_progress=events.append)
    copied = [event for event in events if event.step is Step.COPY]
    assert [event.done for event in copied] == sorted(event.done for event in copied)
    assert copied[-1].done == copied[-1].total == 20
    assert events[-1].step is Step.REPAIR


def _raise(error: BaseException) -> Callable[[], Awaitable[None]]:
    async def action() -> None:
        raise error

    return action


async def test_a_lease_that_the_server_has_forgotten_is_taken_again() -> None:
    world = await filled(sessions=20)

    async def forget() -> None:
        world.progress._lease = None

    forgetting = Once("put", "after", forget, after=3)
    report = await backfill(world, target=Watched(world.new, forgetting.told))
    assert forgetting.done
    assert report.copied == Tally(sessions=20, messages=60)


async def test_an_error_of_a_later_batch_is_not_kept_waiting_by_the_first() -> None:
    async def items() -> Any:
        for number in range(3):
            yield number

    async def work(number: int) -> int:
        await asyncio.sleep(30 if number == 0 else 0)
        if number == 1:
            raise LeaseLostError("another")
        return number

    async def run() -> None:
        async for _ in in_order(items(), work, at_once=lambda: 3):
            pass

    with pytest.raises(LeaseLostError):
        await asyncio.wait_for(run(), 30)

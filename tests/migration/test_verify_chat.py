"""A verify of sessions and messages, beside an app that writes."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import pytest

from chatstore.errors import UnavailableError
from chatstore.migration import BackfillOptions, Patience, ProgressEvent, Tally, VerifyReport, backfill_chat, chat_pair
from chatstore.migration.compare import shown
from chatstore.migration.events import Step
from chatstore.migration.meeting import Meeting
from chatstore.migration.verify import VerifyOptions, verify_chat
from chatstore.models import DeleteSession, Mark, Side, UpdateSession, utc_now
from chatstore.testing import MemoryChat
from tests.migration.doubles import ChatWorld, Once, PickyChat, Watched, append, create, legacy_session

QUICK = VerifyOptions(batch=4, looks=4, wait=0.001, patience=Patience(first=0.001, longest=0.01, limit=0.5))


async def equal_world(sessions: int = 5, messages: int = 3) -> ChatWorld:
    world = ChatWorld()
    texts = [f"text {number}" for number in range(messages)]
    await world.old.put([legacy_session(f"s{number}", *texts) for number in range(sessions)])
    await backfill_chat(world.old, world.new, world.progress, repair=world.repair, options=BackfillOptions(batch=4))
    return world


def forget_proofs(world: ChatWorld) -> None:
    """Make the sides ones whose contents have to be read."""
    world.new._put.clear()


async def verify(world: ChatWorld, **changes: Any) -> VerifyReport:
    parts = {"old": world.old, "new": world.new, "repair": world.repair, "options": QUICK} | changes
    return await verify_chat(parts.pop("old"), parts.pop("new"), world.progress, **parts)


def tamper(side: MemoryChat, session_id: str, **changes: Any) -> None:
    """Change a message behind chatstore's back."""
    messages = side._states[session_id].messages
    messages["m1"] = replace(messages["m1"], **changes)


async def test_equal_sides_are_found_equal_and_that_is_remembered() -> None:
    world = await equal_world()
    report = await verify(world)
    assert report.equal
    assert report.backfilled
    assert report.old == report.new == Tally(sessions=5, messages=15)
    for journal in (world.old.journal, world.new.journal):
        assert (await journal.state()).verified_at is not None


async def test_equal_sides_without_a_backfill_are_not_remembered_as_verified() -> None:
    world = ChatWorld()
    report = await verify(world)
    assert report.equal
    assert not report.backfilled
    assert (await world.old.journal.state()).verified_at is None


@pytest.mark.parametrize(
    ("field", "value"), [("content", "changed"), ("position", 7), ("role", "assistant"), ("metadata", {"a": 1})]
)
@pytest.mark.parametrize("side", ["old", "new"])
async def test_a_changed_field_of_a_message_is_found(side: str, field: str, value: Any) -> None:
    world = await equal_world()
    tamper(getattr(world, side), "s2", **{field: value})
    report = await verify(world)
    assert [(d.key, d.field) for d in report.differences] == [("session/s2/message/m1", field)]
    assert not report.equal
    assert (await world.old.journal.state()).verified_at is None


async def test_a_changed_title_is_found() -> None:
    world = await equal_world()
    state = world.new._states["s2"]
    state.session = replace(state.session, title="changed")
    assert [(d.key, d.field) for d in (await verify(world)).differences] == [("session/s2", "title")]


@pytest.mark.parametrize(("side", "old", "new"), [("new", "there", "missing"), ("old", "missing", "there")])
async def test_a_message_that_one_side_lacks_is_found(side: str, old: str, new: str) -> None:
    world = await equal_world()
    del getattr(world, side)._states["s2"].messages["m1"]
    (difference,) = (await verify(world)).differences
    assert (difference.key, difference.field) == ("session/s2/message/m1", "message")
    assert (difference.old, difference.new) == (old, new)


@pytest.mark.parametrize("side", ["new", "old"])
async def test_a_session_that_one_side_lacks_is_one_difference_however_many_messages_it_has(side: str) -> None:
    world = await equal_world(sessions=2, messages=2500)
    del getattr(world, side)._states["s1"]
    report = await verify(world)
    assert [(d.key, d.field) for d in report.differences] == [("session/s1", "session")]
    assert report.difference_count == 1


async def test_a_changed_message_in_a_long_session_is_found() -> None:
    world = await equal_world(sessions=2, messages=2500)
    messages = world.new._states["s1"].messages
    messages["m2222"] = replace(messages["m2222"], content="changed")
    del messages["m1111"]
    keys = {difference.key for difference in (await verify(world)).differences}
    assert keys == {"session/s1/message/m1111", "session/s1/message/m2222"}


@pytest.mark.parametrize(("short", "batch"), [(0, 4), (20, 2000)])
async def test_a_long_session_is_not_read_again_for_each_of_its_parts(short: int, batch: int) -> None:
    world = await equal_world(sessions=short, messages=3)
    for side in (world.old, world.new):
        await side.put([legacy_session("t", *map(str, range(5000)))])
    read: list[int] = []

    class Counted(MemoryChat):
        async def fetch(self, *args: Any, **kwargs: Any) -> Any:
            async for page in super().fetch(*args, **kwargs):
                read.append(sum(len(change.messages) for change in page.changes))
                yield page

    counted = Counted(Side.NEW)
    counted._states, counted.journal = world.new._states, world.new.journal
    assert (await verify(world, new=counted, options=replace(QUICK, batch=batch))).equal
    assert sum(read) == 5000 + 3 * short


async def test_a_number_in_the_place_of_a_truth_is_found_though_python_takes_them_for_equal() -> None:
    world = ChatWorld()
    change = legacy_session("s1", "a", "b")
    messages = (change.messages[0], replace(change.messages[1], metadata={"read": True}))
    await world.old.put([replace(change, messages=messages)])
    await backfill_chat(world.old, world.new, world.progress, repair=world.repair)
    tamper(world.new, "s1", metadata={"read": 1})
    assert [(d.key, d.field) for d in (await verify(world)).differences] == [("session/s1/message/m1", "metadata")]


async def test_what_a_digest_proves_is_not_read() -> None:
    world = await equal_world()
    tamper(world.new, "s2", content="changed")
    read: list[str] = []

    class Counted(MemoryChat):
        async def fetch(self, session_ids: Any, *, message_ids: Any = None) -> Any:
            read.extend(session_ids if message_ids is None else [])
            async for page in super().fetch(session_ids, message_ids=message_ids):
                yield page

    counted = Counted(Side.OLD)
    counted._states, counted.journal = world.old._states, world.old.journal
    report = await verify(world, old=counted)
    assert [(d.key, d.field) for d in report.differences] == [("session/s2/message/m1", "content")]
    assert report.by_digest == Tally(sessions=4, messages=12)
    assert report.old == report.new == Tally(sessions=5, messages=15)
    assert set(read) == {"s2"}


async def test_what_is_left_of_a_refused_session_is_no_proof_that_all_of_it_arrived() -> None:
    world = ChatWorld(new=PickyChat(Side.NEW))
    await world.old.put([legacy_session("s1", "good", "bad")])
    await backfill_chat(world.old, world.new, world.progress, repair=world.repair)
    report = await verify(world)
    assert report.by_digest == Tally()
    assert report.quarantined == 1


async def test_a_session_that_arrives_between_two_looks_has_its_messages_compared() -> None:
    world = await equal_world()
    lost = world.new._states.pop("s2")

    async def arrive() -> None:
        world.new._states["s2"] = lost
        del lost.messages["m1"]

    arriving = Once("marks_of", "before", arrive)
    report = await verify(world, new=Watched(world.new, arriving.told))
    assert arriving.done
    assert [(d.key, d.new) for d in report.differences] == [("session/s2/message/m1", "missing")]


async def test_a_session_is_one_difference_though_its_deletion_is_told_by_the_walk_of_one_side() -> None:
    world = await equal_world()
    await world.old.write(DeleteSession(user_id="u", session_id="s2"))
    report = await verify(world)
    assert [(d.key, d.old) for d in report.differences] == [("session/s2", "missing")]


class InSmallParts(MemoryChat):
    """A side that tells less of a session at a time than the other one does."""

    async def fetch(self, session_ids: Any, *, message_ids: Any = None) -> Any:
        async for page in super().fetch(session_ids, message_ids=message_ids):
            (change,) = page.changes
            for start in range(0, max(1, len(change.messages)), 100):
                part = replace(change, messages=change.messages[start : start + 100], fingerprint=None)
                yield replace(page, changes=(part,))


@pytest.mark.parametrize("ahead", [Side.OLD, Side.NEW])
async def test_a_session_of_which_one_side_is_far_ahead_is_compared_alone(
    ahead: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_pair, "_MOST_WAITING", 100_000)
    most = 0
    take = Meeting.take

    def watched(meeting: Meeting, *args: Any) -> None:
        nonlocal most
        take(meeting, *args)
        most = max(most, sum(len(told.waiting) for met in meeting._met.values() for told in met.values()))

    monkeypatch.setattr(Meeting, "take", watched)
    new = InSmallParts(Side.NEW)
    world = ChatWorld(new=new) if ahead is Side.OLD else ChatWorld(old=InSmallParts(Side.OLD))
    long = legacy_session("long", *map(str, range(5000)))
    for side in (world.old, world.new):
        await side.put([long, legacy_session("a", "x"), legacy_session("z", "y")])
    messages = world.new._states["long"].messages
    messages["m4500"] = replace(messages["m4500"], content="changed")
    messages["m3000"] = replace(messages["m3000"], position=7)
    del messages["m10"], messages["m4999"]
    del world.old._states["long"].messages["m2000"]
    report = await verify(world, options=replace(QUICK, batch=50, listed=10))
    assert {(d.key.removeprefix("session/long/message/"), d.field, d.old, d.new) for d in report.differences} == {
        ("m4500", "content", shown("content", "4500"), shown("content", "changed")),
        ("m3000", "position", "3000", "7"),
        ("m10", "message", "there", "missing"),
        ("m4999", "message", "there", "missing"),
        ("m2000", "message", "missing", "there"),
    }
    assert report.old == Tally(sessions=3, messages=5001)
    assert report.new == Tally(sessions=3, messages=5000)
    assert most < 2500


async def test_all_differences_are_counted_and_the_first_ones_listed() -> None:
    world = await equal_world(sessions=20)
    for number in range(20):
        tamper(world.new, f"s{number}", content="changed", position=9)
    report = await verify(world, options=replace(QUICK, listed=5))
    assert report.difference_count == 40
    assert len(report.differences) == 5


async def test_a_marked_key_is_repaired_before_it_is_judged() -> None:
    world = await equal_world()
    await world.write(world.old, append("s1", "one-sided"))
    await world.write(world.old, DeleteSession(user_id="u", session_id="s2"))
    await world.write(world.new, UpdateSession(user_id="u", session_id="s3", title="the other way round"))
    report = await verify(world)
    assert report.equal
    assert (await world.new.get_session("u", "s3")) == (await world.old.get_session("u", "s3"))


async def test_a_marked_key_that_no_repair_makes_equal_is_a_difference() -> None:
    world = await equal_world()
    await world.write(world.old, append("s1", "one-sided"))
    repairs: list[int] = []

    async def repair(marks: Sequence[Mark]) -> None:
        repairs.append(len(marks))

    report = await verify(world, repair=repair)
    assert report.difference_count == 2  # The message, and the session's `updated_at`.
    assert repairs == [1] * QUICK.looks


async def test_an_unmarked_difference_is_judged_without_waiting() -> None:
    world = await equal_world()
    tamper(world.new, "s2", content="changed")
    report = await verify(world, options=replace(QUICK, wait=30.0))
    assert report.difference_count == 1


@pytest.mark.parametrize(
    "moment", [("keys", "page"), ("fetch", "before"), ("fetch", "page"), ("proved", "before"), ("proved", "after")]
)
@pytest.mark.parametrize("stage", ["off", "dualwrite"])
@pytest.mark.parametrize("is_proved", [True, False])
async def test_live_writes_are_no_differences(moment: tuple[str, str], stage: str, is_proved: bool) -> None:
    commands: list[Callable[[], Any]] = [
        lambda: append("s1", "live"), lambda: create("s9"), lambda: DeleteSession(user_id="u", session_id="s2"),
        lambda: UpdateSession(user_id="u", session_id="s3", title="live"),
    ]  # fmt: skip
    for after in range(4):
        world = await equal_world()
        if not is_proved:
            forget_proofs(world)

        async def live(world: ChatWorld = world) -> None:
            for command in commands:
                await (world.write_both(command()) if stage == "dualwrite" else world.write(world.old, command()))

        writing = Once(*moment, live, after=after)
        report = await verify(world, old=Watched(world.old, writing.told), new=Watched(world.new, writing.told))
        assert report.equal, (after, report.differences)


async def test_a_session_that_changes_at_every_look_settles_in_the_end() -> None:
    world = await equal_world()
    forget_proofs(world)
    looks = 0

    async def busy(name: str, moment: str) -> None:
        nonlocal looks
        if (name, moment) == ("fetch", "before") and looks < 3:
            looks += 1
            await world.write_both(append("s1", f"turn {looks}"))

    assert (await verify(world, new=Watched(world.new, busy))).equal
    assert looks == 3


async def test_quarantined_records_are_counted_apart() -> None:
    world = ChatWorld(new=PickyChat(Side.NEW))
    await world.old.put([legacy_session("s1", "good", "bad"), legacy_session("s2", "a", title="bad")])
    await backfill_chat(world.old, world.new, world.progress, repair=world.repair)
    report = await verify(world)
    assert report.equal
    assert report.quarantined == 2
    assert (await world.old.journal.state()).verified_at is not None


async def test_an_expired_session_that_one_side_has_swept_away_is_no_difference() -> None:
    world = await equal_world()
    past = utc_now()
    state = world.new._states["s1"]
    state.session = replace(state.session, expires_at=past)
    del world.old._states["s1"]
    assert (await verify(world)).equal


async def test_a_server_that_is_away_for_a_while_is_waited_for() -> None:
    world = await equal_world()

    async def away() -> None:
        raise UnavailableError("away")

    outages = [Once("fetch", "page", away, after=1), Once("keys", "page", away, after=1)]

    async def told(name: str, moment: str) -> None:
        for outage in outages:
            await outage.told(name, moment)

    assert (await verify(world, old=Watched(world.old, told), new=Watched(world.new, told))).equal
    assert all(outage.done for outage in outages)


async def test_the_report_can_be_written_as_json() -> None:
    world = await equal_world()
    tamper(world.new, "s2", content="changed")
    written = json.loads(json.dumps(asdict(await verify(world))))
    assert written["kind"] == "chat"
    assert written["differences"][0]["field"] == "content"


async def test_the_listener_hears_how_far_the_run_came() -> None:
    world = await equal_world()
    events: list[ProgressEvent] = []
    await verify(world, on_progress=events.append)
    # What both sides hold is compared when the old side is walked; then there are the new side's sessions to ask for.
    for step, there_are in ((Step.COMPARE_OLD, 20), (Step.COMPARE_NEW, 5)):
        last = [event for event in events if event.step is step][-1]
        assert last.done == last.total == there_are

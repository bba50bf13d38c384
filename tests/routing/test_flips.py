"""A user reads what he wrote, whichever way the stage flips."""

import asyncio
import itertools

import pytest

from chatstore.errors import NotFoundError
from chatstore.models import NewDocument, NewMessage, Stage
from chatstore.routing import ROUTES, chat_repairer
from chatstore.testing.samples import EAST
from tests.flags import Flags
from tests.routing.pair import chat_pair, contents, document_pair, neither_side_takes_puts, router_over

PAIRS = list(itertools.permutations(Stage, 2))


async def hello_on_one_side(chat):
    """Have a session with a message that the second side missed."""
    with neither_side_takes_puts(chat.sides):
        session = await chat.create_session("u")
        await chat.append("u", session.id, NewMessage("user", "hello"))
    return session


@pytest.mark.parametrize(("before", "after"), PAIRS)
async def test_a_write_is_read_after_any_flip(before, after):
    chat, flags = await chat_pair(before)
    with neither_side_takes_puts(chat.sides):
        session = await chat.create_session("u", title="before")
        [message] = await chat.append("u", session.id, NewMessage("user", "before"))
    flags.set(after)
    assert await contents(chat, "u", session.id) == ["before"]
    await chat.append("u", session.id, NewMessage("assistant", "after"))
    await chat.edit_message("u", session.id, message.id, content="edited")
    assert [s.title for s in (await chat.list_sessions("u")).items] == ["before"]
    flags.set(before)
    assert await contents(chat, "u", session.id) == ["edited", "after"]
    await chat.delete_session("u", session.id)
    flags.set(after)
    with pytest.raises(NotFoundError):
        await chat.get_session("u", session.id)


@pytest.mark.parametrize(("before", "after"), PAIRS)
async def test_a_document_is_read_after_any_flip(before, after):
    documents, flags = await document_pair(before)
    new = NewDocument("before", embedding=EAST)
    with neither_side_takes_puts(documents.sides):
        await documents.upsert("u", new)
    flags.set(after)
    assert (await documents.get("u", new.id)).text == "before"
    await documents.delete("u", [new.id])
    flags.set(before)
    assert await documents.search("u", EAST) == []


async def test_a_process_that_never_saw_the_user_looks_for_marks_first():
    chat, flags = await chat_pair(Stage.LIVE)
    session = await hello_on_one_side(chat)
    flags.set(Stage.DUALWRITE)
    another_process = router_over(chat.sides, flags)
    assert await contents(another_process, "u", session.id) == ["hello"]


async def test_so_does_one_that_has_not_seen_him_for_a_while():
    here, flags = await chat_pair(Stage.LIVE)
    session = await here.create_session("u")
    flags.set(Stage.DUALWRITE)
    here.stages._absence = 0.01
    assert await contents(here, "u", session.id) == []
    here.stages._seen["u"].unsettled_until = 0.0  # The flip that it saw is long ago.
    elsewhere = router_over(here.sides, Flags(Stage.LIVE))
    with neither_side_takes_puts(here.sides):
        await elsewhere.append("u", session.id, NewMessage("user", "said elsewhere"))
    await asyncio.sleep(0.02)
    assert await contents(here, "u", session.id) == ["said elsewhere"]


async def test_so_does_the_first_process_at_all_that_serves_the_new_side():
    chat, flags = await chat_pair(Stage.DUALWRITE)
    session = await hello_on_one_side(chat)
    flags.set(Stage.LIVE)
    another_process = router_over(chat.sides, flags)
    assert await contents(another_process, "u", session.id) == ["hello"]


async def test_so_does_one_that_starts_after_an_earlier_stage_was_recorded():
    chat, flags = await chat_pair(Stage.LIVE)
    session = await hello_on_one_side(chat)
    for side in (chat.sides.old, chat.sides.new):
        await side.journal.remember(stage=Stage.DUALWRITE)
    flags.set(Stage.DUALWRITE)
    another_process = router_over(chat.sides, flags)
    assert await contents(another_process, "u", session.id) == ["hello"]


async def test_a_side_that_hangs_after_a_flip_holds_nobody_up():
    chat, flags = await chat_pair(Stage.LIVE)
    session = await chat.create_session("u")
    flags.set(Stage.DUALWRITE)
    chat._reads._catch_up._deadline = 0.05
    asked = 0

    async def hang(*_):
        nonlocal asked
        asked += 1
        await asyncio.sleep(60)

    chat.sides.new.journal.marks_of = hang
    async with asyncio.timeout(30):
        for _ in range(20):
            assert await contents(chat, "u", session.id) == []
    assert asked == 1


async def test_one_users_backlog_does_not_switch_catching_up_off_for_others():
    chat, flags = await chat_pair(Stage.LIVE)
    with neither_side_takes_puts(chat.sides):
        slow = await chat.create_session("big")
        session = await chat.create_session("small")
        await chat.append("small", session.id, NewMessage("user", "mine"))
    another = router_over(chat.sides, flags)
    await another.get_session("big", slow.id)
    await another.get_session("small", session.id)
    flags.set(Stage.DUALWRITE)
    merge = another._reads._catch_up._merge

    async def slow_for_one(sides, marks):
        if marks[0].user_id == "big":
            await asyncio.sleep(60)
        return await merge(sides, marks)

    another._reads._catch_up._merge = slow_for_one
    another._reads._catch_up._deadline = 0.1
    with pytest.raises(NotFoundError):
        await another.get_session("big", slow.id)
    assert await contents(another, "small", session.id) == ["mine"]


async def test_a_users_documents_are_caught_up_with_a_hundred_at_a_time():
    documents, flags = await document_pair(Stage.COMPLETE)
    made = [NewDocument(f"text {number}", embedding=EAST) for number in range(150)]
    await documents.upsert("u", made)
    merges = []
    merge = documents._reads._catch_up._merge

    async def counted(sides, marks):
        merges.append(len(marks))
        return await merge(sides, marks)

    documents._reads._catch_up._merge = counted
    flags.set(Stage.DUALWRITE)
    assert await documents.count_documents("u") == 150
    assert merges == [100, 50]


async def test_the_recorded_stage_is_caught_up_with_when_the_flags_fail():
    chat, _ = await chat_pair(Stage.DUALWRITE)
    with neither_side_takes_puts(chat.sides):
        session = await chat.create_session("u")
    for side in (chat.sides.old, chat.sides.new):
        await side.journal.remember(stage=Stage.LIVE)
    failing = Flags(Stage.OFF)
    failing.fail()
    another = router_over(chat.sides, failing)
    assert (await another.get_session("u", session.id)).id == session.id


@pytest.mark.parametrize(("one", "other"), PAIRS)
async def test_two_processes_at_two_stages_end_equal(one, other):
    first, flags = await chat_pair(one)
    session = await first.create_session("u")
    flags_of_other = type(flags)(other)
    second = router_over(first.sides, flags_of_other)
    for number in range(4):
        for name, router in (("first", first), ("second", second)):
            try:
                await router.append("u", session.id, NewMessage("user", f"{name} {number}"))
            except NotFoundError:
                # At `off` and `complete` each process may know a session that the other side has yet to learn of.
                assert ROUTES[one].second is None
    await chat_repairer(first.sides).run()
    old, new = [await contents(side, "u", session.id) for side in (first.sides.old, first.sides.new)]
    assert old == new
    assert len(old) >= 4

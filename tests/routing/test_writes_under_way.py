"""A write is begun at once, by its caller's hand, and is none the less a task of its own from the first step on."""

import asyncio
from contextvars import ContextVar

import pytest

from chatstore.routing.protect import WritesUnderWay

PLACE = ContextVar("place", default="outside")


async def test_a_write_that_waits_for_nothing_has_ended_before_anything_else_runs():
    others = []
    asyncio.get_running_loop().call_soon(others.append, "another task")

    async def write():
        return "written"

    assert await WritesUnderWay().run(write()) == "written"
    assert others == []


@pytest.mark.parametrize("waits", [False, True])
async def test_what_a_write_raises_reaches_its_caller(waits):
    async def write():
        if waits:
            await asyncio.sleep(0)
        raise KeyError("no such session")

    with pytest.raises(KeyError, match="no such session"):
        await WritesUnderWay().run(write())


async def test_a_deadline_that_a_write_sets_before_it_waits_ends_the_write_and_not_its_caller():
    async def write():
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            return "too late"

    assert await WritesUnderWay().run(write()) == "too late"
    assert asyncio.current_task().cancelling() == 0


async def test_a_deadline_that_has_passed_before_a_write_waits_ends_what_it_waits_for():
    async def write():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(-1):
                await asyncio.sleep(60)
        return "over"

    assert await WritesUnderWay().run(write()) == "over"


async def test_a_write_is_one_task_from_its_first_step_on_and_not_the_callers():
    seen = []

    async def write():
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())

    caller = asyncio.current_task()
    await WritesUnderWay().run(write())
    assert seen[0] is seen[1]
    assert caller not in seen
    assert asyncio.current_task() is caller


@pytest.mark.parametrize("waits", [False, True])
async def test_what_a_write_notes_in_its_context_stays_there(waits):
    async def write():
        token = PLACE.set("in the write")
        if waits:
            await asyncio.sleep(0)
        PLACE.reset(token)  # which only works in the context where it was set
        PLACE.set("left behind")

    await WritesUnderWay().run(write())
    assert PLACE.get() == "outside"


async def test_a_write_goes_on_when_its_caller_has_gone():
    begun, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def write():
        begun.set()
        await go_on.wait()
        ended.set()

    writes = WritesUnderWay()
    caller = asyncio.create_task(writes.run(write()))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert not ended.is_set()
    go_on.set()
    await writes.finish()
    assert ended.is_set()


async def test_a_write_is_waited_for_when_its_router_is_closed():
    async def write():
        await asyncio.sleep(0.01)
        return "written"

    writes = WritesUnderWay()
    caller = asyncio.create_task(writes.run(write()))
    await asyncio.sleep(0)
    await writes.finish()
    assert await asyncio.wait_for(caller, 0) == "written"


@pytest.mark.parametrize("when", ["before it fails", "as it fails"])
async def test_the_error_of_a_write_whose_caller_has_gone_is_in_the_log(caplog, when):
    fails = asyncio.Event()

    async def write():
        await fails.wait()
        if when == "as it fails":
            caller.cancel()
        raise KeyError("gone")

    writes = WritesUnderWay()
    caller = asyncio.create_task(writes.run(write()))
    await asyncio.sleep(0)
    if when == "before it fails":
        caller.cancel()
        await asyncio.sleep(0)
    fails.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await writes.finish()
    await asyncio.sleep(0)
    assert "a write for which no caller waits failed: 'gone'" in caplog.text


async def test_a_write_that_is_cancelled_itself_is_cancelled_for_its_caller():
    async def write():
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        await WritesUnderWay().run(write())

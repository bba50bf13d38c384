"""Work in the background ends in time, and tells that from being given up."""

import asyncio
from contextvars import copy_context

from chatstore.routing.in_time import InTime


class Work:
    """Tasks that never end by themselves, and when and why each of them did."""

    def __init__(self, seconds):
        self.tasks = InTime(seconds)
        self.ended = {}

    def start(self, name):
        self.tasks.start(self._hang(name), copy_context())

    async def _hang(self, name):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.ended[name] = (asyncio.get_running_loop().time(), self.tasks.is_late())
            if not self.tasks.is_late():
                raise


async def test_each_task_has_its_whole_time_and_no_more():
    work, clock = Work(0.1), asyncio.get_running_loop()
    begun = {}
    for name in ("first", "second"):
        begun[name] = clock.time()
        work.start(name)
        await asyncio.sleep(0.03)
    await work.tasks.drain()
    assert len(work.tasks) == 0
    took = {name: at - begun[name] for name, (at, _) in work.ended.items()}
    assert min(took.values()) >= 0.099, took
    assert max(took.values()) < 1, took
    assert [late for _, late in work.ended.values()] == [True, True]


async def test_what_begins_when_all_others_have_ended_ends_in_time_too():
    work = Work(0.02)
    for name in ("first", "second"):
        work.start(name)
        await work.tasks.drain()
    assert [late for _, late in work.ended.values()] == [True, True]


async def test_what_is_given_up_is_not_late():
    work = Work(60)
    work.start("first")
    await asyncio.sleep(0)
    await asyncio.wait_for(work.tasks.close(), 5)
    assert [late for _, late in work.ended.values()] == [False]
    assert len(work.tasks) == 0


async def test_what_ends_by_itself_is_left_alone():
    tasks, ended = InTime(0.02), []

    async def quick():
        ended.append(1)

    tasks.start(quick(), copy_context())
    await tasks.drain()
    await asyncio.sleep(0.05)  # the timer comes to nothing
    assert (ended, len(tasks)) == ([1], 0)

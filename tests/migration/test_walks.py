"""A source that is walked over in parts, side by side: a run that is killed goes on with those that did not end."""

import asyncio

import pytest

from chatstore.migration import BackfillOptions, backfill_chat
from chatstore.migration.walks import side_by_side
from chatstore.models import KeyPage, Side
from chatstore.testing import MemoryChat
from tests.migration.doubles import ChatWorld, KilledError, Life, Watched, chat_content, legacy_session

PARTS = ("a", "b", "c")
A_PART = 6


class PartedChat(MemoryChat):
    """A side of three servers: the first letter of a session's id says on which it lies."""

    def __init__(self, parts=PARTS):
        super().__init__(Side.OLD)
        self.parts = parts
        self.walked = []

    async def starts(self):
        return [f"{part}:" for part in self.parts]

    async def keys(self, cursor=None):
        part, _, last = cursor.partition(":")
        self.walked.append((part, last))
        ids = [name for name in sorted(self._states) if name[0] == part and name > last]
        for start in range(0, len(ids), 2):
            two = tuple(ids[start : start + 2])
            yield KeyPage(two, (), f"{part}:{two[-1]}" if start + 2 < len(ids) else None)


async def numbers(first, last, wait):
    for number in range(first, last):
        await asyncio.sleep(wait)
        yield number


async def test_walks_side_by_side_keep_their_own_orders_and_each_says_when_it_ended():
    found = [one async for one in side_by_side({"slow": numbers(0, 3, 0.002), "fast": numbers(5, 9, 0)})]
    assert [number for name, number in found if name == "slow"] == [0, 1, 2, None]
    assert [number for name, number in found if name == "fast"] == [5, 6, 7, 8, None]
    assert found.index(("fast", None)) < found.index(("slow", None))


async def test_a_walk_that_fails_ends_the_others():
    async def failing():
        yield 1
        raise OSError("gone")

    ended = []

    async def endless():
        try:
            while True:
                await asyncio.sleep(0)
                yield 2
        finally:
            ended.append(True)

    with pytest.raises(OSError, match="gone"):
        async for _ in side_by_side({"a": failing(), "b": endless()}):
            pass
    assert ended == [True]


async def world():
    found = ChatWorld(old=PartedChat())
    await found.old.put([legacy_session(f"{part}{n}", "one", "two") for part in PARTS for n in range(A_PART)])
    return found


async def backfill(found, old=None):
    old, progress = (found.old, found.progress) if old is None else old
    options = BackfillOptions(batch=1, at_once=2)
    found.progress._lease = None  # that of the process that is no more has run out
    return await backfill_chat(old, found.new, progress, repair=found.repair, options=options)


async def test_killed_at_any_moment_a_run_goes_on_with_each_walk_where_it_was():
    resumed, moments = 0, 0
    while True:
        moments += 7
        found = await world()
        life = Life(moments)
        try:
            await backfill(found, (Watched(found.old, life.told), Watched(found.progress, life.told)))
        except KilledError:
            report = await backfill(found)
        else:
            break
        resumed += report.resumed
        # What lies in front of a checkpoint may be copied twice; what lies behind it is not counted twice.
        assert (report.copied + report.unchanged).sessions == len(PARTS) * A_PART
        assert await chat_content(found.new) == await chat_content(MemoryCopy(found.old))
    assert resumed > 3


class MemoryCopy:
    """Scans a side in parts as one."""

    def __init__(self, side):
        self._side = side

    async def scan(self):
        async for page in self._side.fetch(sorted(self._side._states)):
            yield page


async def test_a_walk_that_ended_before_the_kill_is_not_made_again():
    found = await world()
    life = Life(10**9)

    async def told(name, moment):
        # By the time that the first two walks ended, and not the third.
        if name == "save_checkpoint" and moment == "after":
            held = next(iter(found.progress._checkpoints.values()))
            if held.count("null") >= 2:
                life.left = 0
        await life.told(name, moment)

    with pytest.raises(KilledError):
        await backfill(found, (found.old, Watched(found.progress, told)))
    found.old.walked.clear()
    report = await backfill(found)
    assert report.resumed
    assert len(found.old.walked) < len(PARTS)
    assert await chat_content(found.new) == await chat_content(MemoryCopy(found.old))


async def test_a_source_of_other_servers_starts_the_run_over():
    found = await world()
    life = Life(60)
    with pytest.raises(KilledError):
        await backfill(found, (Watched(found.old, life.told), Watched(found.progress, life.told)))
    found.old.parts = ("a", "b")
    found.old.walked.clear()
    report = await backfill(found)
    assert not report.resumed
    assert {("a", ""), ("b", "")} <= set(found.old.walked)

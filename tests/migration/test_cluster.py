"""A backfill of a Redis Cluster: its primaries are walked over side by side."""

from dataclasses import replace

from chatstore.migration import BackfillOptions, backfill_chat
from chatstore.models import Side
from chatstore.redis import RedisChat, chat_layout, connect
from chatstore.testing import MemoryChat
from tests.migration.doubles import ChatWorld, KilledError, chat_content, legacy_session
from tests.redis.cluster.test_scanning import move

SESSIONS = 700


def session(number):
    found = legacy_session(f"s{number}", "one")
    return replace(found, messages=tuple(replace(m, id=f"s{number}.{m.id}") for m in found.messages))


async def backfill(world, killer=None):
    world.progress._lease = None  # that of a killed run has run out
    options = BackfillOptions(batch=50, at_once=2)
    return await backfill_chat(
        world.old, world.new, world.progress, repair=world.repair, options=options, on_progress=killer
    )


async def test_a_killed_backfill_of_a_cluster_goes_on_on_each_primary_and_starts_over_when_slots_moved(redis_cluster):
    async with connect(redis_cluster.url) as client:
        old = RedisChat(client, chat_layout("chatstore"))
        world = ChatWorld(old=old, new=MemoryChat(Side.NEW))
        await old.put([session(number) for number in range(SESSIONS)])

        def kill(event):
            if event.done >= SESSIONS:
                raise KilledError

        try:
            await backfill(world, kill)
        except KilledError:
            pass
        else:
            raise AssertionError("it was not killed")
        assert len(await old.starts()) == 3
        report = await backfill(world)
        assert report.resumed
        assert (report.copied.sessions, report.copied.messages) == (SESSIONS, SESSIONS)
        assert await chat_content(world.new) == await chat_content(old)

        world.new, world.progress = MemoryChat(Side.NEW), type(world.progress)()
        try:
            await backfill(world, kill)
        except KilledError:
            move(redis_cluster, old._layout.prefix + b"s1")
        report = await backfill(world)
        assert not report.resumed
        assert await chat_content(world.new) == await chat_content(old)

"""`chatstore migrate` is killed again and again beside an app that writes: it ends where an undisturbed run ends."""

import asyncio
import json
import os
import re
from dataclasses import dataclass
from random import Random

import pytest
import redis

from chatstore.app import open_stores
from chatstore.backends import Backends
from chatstore.migration import verify_chat
from chatstore.models import Kind, NewMessage
from chatstore.redis.keys import JournalKeys
from chatstore.routing import chat_repairer
from chatstore.settings import load_settings
from tests.chaos import app
from tests.chaos.fleet import START_SECONDS, Running
from tests.chaos.migrator import migrate
from tests.conformance.registry import named
from tests.migration.doubles import chat_content
from tests.migration.hash_app import fill_chat

KILLS = int(os.environ.get("CHATSTORE_KILLS", "50"))
SESSIONS, MESSAGES = 900, 3
LIVE = 100  # of the sessions, the app writes to these
BAD = {"session:wrong-type", "session:no-user", "message:nobody-lists-me"}
END_SECONDS = 60.0
LEASE, CHECKPOINTS = JournalKeys(Kind.CHAT).lease, JournalKeys(Kind.CHAT).checkpoints


@dataclass
class Migrated:
    """What a run that came to its end left.

    Attributes:
        report: What the command printed.
        content: What the new side shows of the sessions that the app does not write to.
        quarantine: What could not be taken, and why.
    """

    report: dict
    content: dict
    quarantine: dict


class Round:
    """One migration from an app's own Redis to an empty Supabase."""

    def __init__(self, place, backends, redis, name):
        self._place = place
        self._backends = backends
        self._redis = redis
        self._name = name
        self._starts = 0

    def fill(self):
        self._redis.flushdb()
        fill_chat(self._redis, SESSIONS)
        self._redis.set("session:wrong-type", "a string")
        self._redis.hset("session:no-user", mapping={"title": "x", "messageIds": "[]"})
        self._redis.hset("message:nobody-lists-me", mapping={"sessionId": "s5", "role": "user", "content": "lost"})

    async def start(self):
        self._starts += 1
        name = f"{self._name}-{self._starts}"
        running = await asyncio.to_thread(Running, migrate, self._place, name, ["--chat", "--json"])
        await asyncio.to_thread(running.heard, app.READY, START_SECONDS)
        return running

    async def kill_until_it_ends(self, random, most):
        """Kill it at random moments until one comes to its end; return how many were killed, and its exit status."""
        for kills in range(most):
            running = await self.start()
            # On a busy machine chance alone would hit little but its beginning.
            await self.until(running, random.choice([self.nothing, self.lease, self.checkpoint, self.checkpoint]))
            await asyncio.to_thread(running.process.join, random.uniform(0.0, 0.3))
            if not running.process.is_alive():
                return kills, running.process.exitcode
            running.kill()
            self._redis.delete(LEASE)  # it has run out
        return most, await self.end()

    async def until(self, running, changes):
        """Return when something is no more as it was, or it is over already."""
        before = changes()
        while running.process.is_alive() and changes() == before:  # noqa: ASYNC110 - it is in Redis
            await asyncio.sleep(0.005)

    def nothing(self):
        return object()

    def lease(self):
        return self._redis.exists(LEASE)

    def checkpoint(self):
        return self._redis.hgetall(CHECKPOINTS)

    async def end(self):
        running = await self.start()
        await asyncio.to_thread(running.process.join, END_SECONDS)
        assert not running.process.is_alive(), "it does not come to its end"
        return running.process.exitcode

    def log(self):
        return (self._place.folder / f"{self._name}-{self._starts}.log").read_text()

    async def migrated(self):
        [report] = [json.loads(line)["chat"] for line in self.log().splitlines() if line.startswith('{"chat"')]
        sides = await self._backends.chat_sides()
        content = await chat_content(sides.new)
        await self.check_equal(sides, content)
        untouched = {key: held for key, held in content.items() if _number(key) >= LIVE}
        found = {record.key: record.reason async for record in self._backends.progress(Kind.CHAT).quarantined()}
        return Migrated(report, untouched, found)

    async def check_equal(self, sides, content):
        repair = chat_repairer(sides).run
        await repair()
        verified = await verify_chat(sides.old, sides.new, self._backends.progress(Kind.CHAT), repair=repair)
        assert verified.differences == ()
        assert content == await chat_content(sides.old)


def _number(key):
    name = key if isinstance(key, str) else key[0]
    return int(name.removeprefix("s")) if name[1:].isdigit() else -1


class Writer:
    """An app at the stage `dualwrite`, which appends for the length of a block."""

    def __init__(self, settings, random):
        self._settings = settings
        self._random = random
        self.acknowledged = {}

    async def __aenter__(self):
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._write())
        return self

    async def __aexit__(self, *_):
        self._stop.set()
        await self._task

    async def _write(self):
        async with open_stores(self._settings, repair=False) as stores:
            while not self._stop.is_set():
                number = len(self.acknowledged)
                message = NewMessage("user", f"live {number}", id=f"live-{number}")
                session = f"s{self._random.randrange(2, LIVE)}"
                await stores.chat.append("u", session, message)
                self.acknowledged[session, message.id] = message.content
                await asyncio.sleep(0.01)


@pytest.fixture
async def world(request, stack, redis_database, tmp_path):
    at = stack.settings
    environment = {
        "REDIS_URL": redis_database,
        "SUPABASE_URL": at.supabase_url,
        "SUPABASE_SECRET_KEY": at.supabase_secret_key,
    }
    settings = load_settings(
        _env_file=None,
        redis_url=redis_database,
        supabase_url=at.supabase_url,
        supabase_secret_key=at.supabase_secret_key,
        stage="dualwrite",
    )
    place = app.Place(environment, tmp_path, ())
    with redis.Redis.from_url(redis_database) as client:

        async def opened(name):
            async with named("CHAT")["supabase"](request):
                pass  # it empties the new side
            found = Round(place, Backends(settings), client, name)
            rounds.append(found)
            found.fill()
            return found

        rounds = []
        yield opened, settings
        for one in rounds:
            await one._backends.close()


@pytest.mark.timeout(120 + 3 * KILLS)
async def test_killed_at_any_moment_a_migration_ends_as_one_that_was_left_alone(world, chaos_seed):
    opened, settings = world
    alone = await opened("alone")
    assert await alone.end() == 1
    expected = await alone.migrated()
    assert expected.quarantine.keys() == BAD
    assert expected.report["copied"]["sessions"] == SESSIONS

    random, kills, resumed = Random(chaos_seed), 0, 0
    while kills < KILLS:
        disturbed = await opened(f"disturbed-after-{kills}")
        async with Writer(settings, random) as writer:
            killed, status = await disturbed.kill_until_it_ends(random, KILLS - kills)
        kills += killed
        assert status == 1, disturbed.log()
        ended = await disturbed.migrated()
        assert ended.content == expected.content
        assert ended.quarantine == expected.quarantine
        # What a walk told twice, as Redis' may while keys come and go, is counted twice.
        done = ended.report["copied"]["sessions"] + ended.report["unchanged"]["sessions"]
        assert SESSIONS <= done <= 1.2 * SESSIONS
        sides = await disturbed._backends.chat_sides()
        content = await chat_content(sides.new)
        assert {key: content[key].content for key in writer.acknowledged} == writer.acknowledged
        assert writer.acknowledged
        resumed += ended.report["resumed"]
    assert resumed


async def test_while_another_one_is_at_work_it_is_refused_and_says_who_and_for_how_long(world):
    opened, _ = world
    second = await opened("second")
    progress = second._backends.progress(Kind.CHAT)
    await progress.acquire("their-machine:4711:x", 20)
    assert await second.end() == 2
    assert "their-machine (pid 4711) is at work on this migration: `chatstore status` shows it" in second.log()
    [left] = re.findall(r"its lease ends in (\d+) s", second.log().splitlines()[0])
    assert 10 <= int(left) <= 20
    await progress.release("their-machine:4711:x")
    assert await second.end() == 1

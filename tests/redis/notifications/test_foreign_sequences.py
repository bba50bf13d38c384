"""Lists and JSON arrays that another program writes are noticed as the session that they are of, and our own are not."""

import random
from datetime import timedelta

import pytest
import redis

from chatstore.models import CreateSession, Side, utc_now
from chatstore.redis import RedisChat, foreign_sessions
from chatstore.redis.notifications import SETTING
from chatstore.testing import MemoryChat
from tests.redis.convergence import write_on_both
from tests.redis.notifications.watching import watching
from tests.redis.sequences import SEQUENCES, USER


@pytest.fixture(params=SEQUENCES)
async def other(request, client, valkey):
    """What another program does to a session of a layout; the server tells of lists, too."""
    await client.config_set(SETTING, "Kghl")
    with redis.Redis.from_url(valkey) as connection:
        yield SEQUENCES[request.param](connection)


@pytest.fixture
async def chat(client, other):
    store = RedisChat(client, other.layout)
    yield store
    await store.close()


async def test_a_push_marks_the_session_that_it_is_of_and_writes_its_message_down(client, other, chat):
    async with watching(foreign_sessions, client, other.layout) as watched:
        other.push(other.item("a"))
        assert await watched.next() == (USER, "s")
        other.set(0, other.item("b"))
        assert await watched.next() == (USER, "s")
        other.clear()
        # Whose it was the ledger knows.
        assert await watched.next() == (USER, "s")
    assert other.items() == []


async def test_none_of_our_own_writes_is_taken_for_another_programs(client, other, chat):
    memory = MemoryChat(Side.NEW)
    async with watching(foreign_sessions, client, other.layout) as watched:
        await write_on_both(random.Random(7), chat, memory, 150)
        await chat.write(CreateSession(user_id=USER, session_id="short", expires_at=utc_now() + timedelta(hours=1)))
        other.push(other.item("a"))
        assert await watched.next() == (USER, "s")
        assert watched.none_is_left


async def test_keys_of_other_types_are_passed_over(client, other, chat):
    async with watching(foreign_sessions, client, other.layout) as watched:
        await client.ask("SET", other.layout.default_prefix + b"text", "x" * 100)
        await client.ask("ZADD", other.layout.default_prefix + b"ranking", 1, "one")
        await client.ask("HSET", b"user:1", "name", "ann")
        other.push(other.item("a"))
        assert await watched.next() == (USER, "s")
        assert watched.none_is_left

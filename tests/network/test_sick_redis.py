"""A Redis that answers, and refuses: as the second side the app does not notice, as the first the app is told why."""

from contextlib import asynccontextmanager

import pytest
import redis.asyncio

from chatstore.errors import ConfigurationError, LayoutError, UnavailableError
from chatstore.models import Kind, Stage
from chatstore.redis import RedisChat, chat_layout, connect
from tests.log import told
from tests.network.apps import app, falls_behind_and_catches_up, refuses_and_leaves_nothing_half, user
from tests.network.own_redis import own_redis

ILLNESSES = {
    "out of memory": ("config set maxmemory 1", "config set maxmemory 0", UnavailableError, "maxmemory"),
    "a replica": ("replicaof 127.0.0.1 1", "replicaof no one", UnavailableError, "takes no writes.*primary"),
    "without replicas": (
        "config set min-replicas-to-write 1",
        "config set min-replicas-to-write 0",
        UnavailableError,
        "takes no writes.*replicas",
    ),
    "without rights": (
        "acl setuser default -hset",
        "acl setuser default +@all",
        ConfigurationError,
        "REDIS_URL's user",
    ),
    "without the right to mark": (
        "acl setuser default -zadd",
        "acl setuser default +@all",
        ConfigurationError,
        "REDIS_URL's user",
    ),
}


CASES = [*((Kind.CHAT, name) for name in ILLNESSES), (Kind.DOCUMENTS, "out of memory")]


@asynccontextmanager
async def ill(url, begin, end):
    async with redis.asyncio.Redis.from_url(url) as client:
        await client.execute_command(*begin.split())
        try:
            yield
        finally:
            await client.execute_command(*end.split())


@pytest.mark.parametrize(("kind", "name"), CASES)
async def test_as_the_second_side_it_catches_up_when_it_is_well(servers, kind, name):
    begin, end, *_ = ILLNESSES[name]
    async with app(kind, Stage.LIVE, servers) as made:
        await falls_behind_and_catches_up(made, ill(servers.redis, begin, end))


@pytest.mark.parametrize(("kind", "name"), CASES)
async def test_as_the_first_side_it_says_what_to_do(servers, kind, name):
    begin, end, error, words = ILLNESSES[name]
    async with app(kind, Stage.DUALWRITE, servers) as made:
        refusal = pytest.raises(error, match=f"(?s)127.0.0.1.*{words}")
        await refuses_and_leaves_nothing_half(made, ill(servers.redis, begin, end), refusal)


async def test_a_record_of_another_type_holds_up_its_own_session_only(servers):
    async with app(Kind.CHAT, Stage.LIVE, servers) as made, connect(servers.redis) as client:
        ann = user()
        key, other = await made.open(ann), await made.open(ann)
        await made.router.replicator.drain()
        await client.delete(f"session:{key}")
        await client.set(f"session:{key}", "somebody's")
        for text in ("one", "two"):
            await made.write(ann, key, text)
            await made.write(ann, other, text)
        await made.router.replicator.drain()
        assert await made.read_from(made.direct.old, ann, other) == ["one", "two"]
        assert (made.counts.left, made.counts.missed) == (2, 1)
        assert {mark.key for mark in await made.direct.new.journal.marks_of(ann)} == {key}
        await client.delete(f"session:{key}")
        async with told("the old side has all writes again"):
            made.repair_in_the_background()
        assert await made.read_from(made.direct.old, ann, key) == ["one", "two"]


async def test_a_journal_of_another_type_is_named(servers):
    async with app(Kind.CHAT, Stage.DUALWRITE, servers) as made, connect(servers.redis) as client:
        await client.set("chatstore:{chat}:marks", "somebody's")
        with pytest.raises(LayoutError, match="WRONGTYPE"):
            await made.open(user())


@asynccontextmanager
async def loading_server(folder):
    """A server that takes seconds to load what it holds."""
    async with own_redis(folder, "--appendonly", "no") as (_, client):
        await fill(client)
        await client.save()
    slow = ("--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
    async with own_redis(folder, "--appendonly", "no", *slow) as (url, _):
        yield url


async def fill(client):
    pipeline = client.pipeline(transaction=False)
    for i in range(3000):
        pipeline.set(f"filler:{i}", i)
    await pipeline.execute()


async def test_a_server_that_is_loading_is_named_so(tmp_path):
    async with loading_server(tmp_path) as url, connect(url) as ours:
        chat = RedisChat(ours, chat_layout("hash"))
        with pytest.raises(UnavailableError, match=r"is starting.*Wait until it has loaded"):
            await chat.create_session(user())
        await chat.close()

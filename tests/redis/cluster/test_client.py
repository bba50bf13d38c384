"""Commands to a cluster: each to the node of its key, and again only where a node said that it did not do it."""

import asyncio
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest
import redis.asyncio
from redis.exceptions import ResponseError

from chatstore.errors import ConfigurationError, UnavailableError
from chatstore.redis import connect, take_over
from chatstore.redis.client import Server
from chatstore.redis.cluster import key_of
from chatstore.redis.scripts import Call, Script, run_all
from chatstore.redis.slots import slot_of
from tests.redis.test_client import Once, losing_proxy

KEYS = [b"key:%d" % i for i in range(300)]
PUSH = Script("redis.call('RPUSH', KEYS[1], ARGV[1]) return redis.call('LRANGE', KEYS[1], 0, -1)")


@pytest.fixture
async def client(redis_cluster):
    async with connect(redis_cluster.url) as client:
        yield client


async def test_answers_come_in_the_order_of_their_commands_whatever_node_they_are_from(client, redis_cluster):
    await client.ask_all(("SET", key, i) for i, key in enumerate(KEYS))
    assert await client.ask_all(("GET", key) for key in KEYS) == [b"%d" % i for i in range(len(KEYS))]
    assert all(len(node.ask("KEYS", "*")) > 50 for node in redis_cluster.nodes)


async def test_an_error_stands_in_its_commands_place(client):
    await client.ask("SET", "text", "x")
    wrong, right = await client.ask_all([("LPUSH", "text", "x"), ("GET", "text")])
    assert isinstance(wrong, ResponseError)
    assert right == b"x"


async def test_a_script_is_known_to_whichever_node_runs_it(client):
    calls = [Call(PUSH, [key], ["one"]) for key in KEYS]
    assert await run_all(client, calls) == [[b"one"]] * len(KEYS)


async def test_any_node_that_runs_is_enough_to_find_the_others(redis_cluster):
    url = redis_cluster.url.replace("redis+cluster://", "redis+cluster://127.0.0.1:1,")
    async with connect(url) as client:
        assert await client.ask_all(("SET", key, "x") for key in KEYS)


async def test_an_apps_own_client_of_a_cluster_serves_and_stays_open(redis_cluster):
    port = redis_cluster.nodes[0].port
    async with redis.asyncio.RedisCluster(host="127.0.0.1", port=port, decode_responses=True) as theirs:
        ours = take_over(theirs)
        await ours.ask_all(("SET", key, "é") for key in KEYS)
        await ours.aclose()
        assert await theirs.get(KEYS[0]) == "é"


async def test_a_slot_that_moves_is_followed_and_nothing_is_done_twice(redis_cluster):
    key = b"list"
    slot, source = slot_of(key), redis_cluster.owner_of(key)
    target = next(node for node in redis_cluster.nodes if node is not source)
    async with connect(redis_cluster.url) as client:
        added, moved = [], asyncio.Event()

        async def push():
            while not (moved.is_set() and len(added) > 200):
                calls = [Call(PUSH, [key], [f"{len(added)}"]), Call(PUSH, [b"{list}:%d" % len(added)], ["x"])]
                await run_all(client, calls)
                added.append(b"%d" % len(added))
                await asyncio.sleep(0)

        async def move():
            await asyncio.to_thread(redis_cluster.begin_move, slot, source, target)
            while await asyncio.to_thread(redis_cluster.move_keys, slot, source, target, 3):
                pass
            await asyncio.to_thread(redis_cluster.end_move, slot, target)
            moved.set()

        await asyncio.gather(push(), move())
        assert await client.ask("LRANGE", key, 0, -1) == added
        counts = await client.ask_all(("LLEN", b"{list}:%d" % i) for i in range(len(added)))
        assert counts == [1] * len(added)


async def test_a_script_whose_keys_are_on_both_nodes_waits_until_they_are_on_one(redis_cluster):
    slot, source = slot_of(b"{a}"), redis_cluster.owner_of(b"{a}")
    target = next(node for node in redis_cluster.nodes if node is not source)
    both = Script("return redis.call('MGET', KEYS[1], KEYS[2])")
    async with connect(redis_cluster.url) as client:
        await client.ask_all([("SET", "{a}1", "x"), ("SET", "{a}2", "y")])
        redis_cluster.begin_move(slot, source, target)
        redis_cluster.move_keys(slot, source, target, 1)
        asking = asyncio.ensure_future(run_all(client, [Call(both, [b"{a}1", b"{a}2"], [])]))
        await asyncio.sleep(0.3)
        assert not asking.done()
        redis_cluster.move_keys(slot, source, target)
        redis_cluster.end_move(slot, target)
        assert await asking == [[b"x", b"y"]]


async def test_a_node_that_is_killed_is_named_and_when_it_is_back_all_goes_on(redis_cluster):
    lost = redis_cluster.nodes[1]
    async with connect(redis_cluster.url) as client:
        await client.ask_all(("SET", key, "x") for key in KEYS)
        mine = [key for key in KEYS if redis_cluster.owner_of(key) is lost]
        with lost.killed():
            with pytest.raises(UnavailableError, match=rf"127\.0\.0\.1:{lost.port}"):
                await client.ask("GET", mine[0])
            # Once the others know that its slots are lost, they refuse all: that is the server's default.
            assert "until its slots are served" in await error_of(client, "GET", min(set(KEYS) - set(mine)))
        assert await error_of(client, "SET", mine[0], "y", wanted=False) == ""


async def error_of(client, *command, wanted=True):
    """Ask until there is a wanted error, or none any more; return it."""
    async with asyncio.timeout(30):
        while True:
            try:
                await client.ask(*command)
            except UnavailableError as error:
                if wanted and "until its slots are served" in str(error):
                    return str(error)
            else:
                if not wanted:
                    return ""
            await asyncio.sleep(0.05)


async def test_a_write_whose_answer_is_lost_is_not_repeated(redis_cluster):
    """The client library's own client would send it again; ours says that it does not know."""
    async with connect(redis_cluster.url) as client:
        await run_all(client, [Call(PUSH, [b"list"], ["0"])])
        node = redis_cluster.owner_of(b"list")
        server = next(one for one in (await client.primaries()).values() if one.address.endswith(f":{node.port}"))
        server.answer_within = 0.2
        # The node does not answer for a while, and then does what it was told meanwhile.
        with node.stopped(), pytest.raises(UnavailableError):
            await run_all(client, [Call(PUSH, [b"list"], ["1"])])
        server.answer_within = 5
        await asyncio.sleep(0.2)
        assert await client.ask("LRANGE", b"list", 0, -1) == [b"0", b"1"]


async def test_nor_is_it_on_a_new_connection_that_works(redis_cluster):
    lose, ports = Once(), {}
    async with AsyncExitStack() as proxies:
        for node in redis_cluster.nodes:
            url = await proxies.enter_async_context(losing_proxy(f"redis://127.0.0.1:{node.port}", lose))
            ports[node.port] = urlsplit(url).port
        theirs = redis.asyncio.RedisCluster(
            host="127.0.0.1",
            port=redis_cluster.nodes[0].port,
            address_remap=lambda address: (address[0], ports.get(address[1], address[1])),
        )
        ours = take_over(theirs)
        await run_all(ours, [Call(PUSH, [b"list"], ["0"])])
        lose.armed = True
        with pytest.raises(UnavailableError):
            await run_all(ours, [Call(PUSH, [b"list"], ["1"])])
        assert await ours.ask("LRANGE", b"list", 0, -1) == [b"0", b"1"]
        await ours.aclose()
        await theirs.aclose()


async def test_a_key_that_is_made_while_its_slot_moves_is_made_where_it_will_be(client, redis_cluster):
    slot, source = slot_of(b"{a}"), redis_cluster.owner_of(b"{a}")
    target = next(node for node in redis_cluster.nodes if node is not source)
    await client.ask("SET", "{a}old", "x")
    redis_cluster.begin_move(slot, source, target)
    await client.ask("SET", "{a}new", "y")
    assert await client.ask_all([("GET", "{a}new"), ("GET", "{a}old"), ("GET", "{a}new")]) == [b"y", b"x", b"y"]
    assert source.ask("CLUSTER", "GETKEYSINSLOT", slot, 10) == [b"{a}old"]
    assert target.ask("CLUSTER", "GETKEYSINSLOT", slot, 10) == [b"{a}new"]
    redis_cluster.move_keys(slot, source, target)
    redis_cluster.end_move(slot, target)


async def test_a_url_of_one_server_that_is_of_a_cluster_and_the_reverse_say_so(redis_cluster, redis_database):
    async with connect(f"redis://127.0.0.1:{redis_cluster.nodes[0].port}") as client:
        elsewhere = next(key for key in KEYS if redis_cluster.owner_of(key) is not redis_cluster.nodes[0])
        with pytest.raises(ConfigurationError, match=r"redis\+cluster://"):
            await client.ask("GET", elsewhere)
    place = redis_database.removeprefix("redis://").partition("/")[0]
    async with connect(f"redis+cluster://{place}") as client:
        with pytest.raises(ConfigurationError, match="of no cluster"):
            await client.ask("GET", "x")


def test_a_malformed_url_of_a_cluster_is_named():
    for url in ("redis+cluster://", "redis+cluster://a,,b", "redis+cluster://a/3", "redis+other://a", "rediss+x://a"):
        with pytest.raises(ConfigurationError, match="REDIS_URL"):
            connect(url)


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("GET", "a"), b"a"),
        (("EVALSHA", "sha", 2, b"k", b"l", "argument"), b"k"),
        (("EVALSHA", "sha", 0), None),
        (("MEMORY", "USAGE", "a"), b"a"),
        (("MEMORY USAGE", "a"), b"a"),
        (("SCRIPT LOAD", "text"), None),
        (("CONFIG", "GET", "x"), None),
        (("PING",), None),
    ],
)
def test_the_key_of_a_command_is_found(command, key):
    assert key_of(command) == key


def test_a_server_is_no_cluster():
    assert not Server().is_cluster

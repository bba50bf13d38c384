"""A walk over all keys of a cluster: every primary, and none of it trusted once slots have moved."""

import asyncio

import pytest

from chatstore.errors import UnavailableError
from chatstore.redis import connect
from chatstore.redis.scanning import scan_keys
from chatstore.redis.slots import slot_of

KEYS = {b"a*[%d]" % i for i in range(3000)}
OTHERS = {b"a-%d" % i for i in range(300)}


@pytest.fixture
async def client(redis_cluster):
    async with connect(redis_cluster.url) as client:
        await client.ask_all(("SET", key, "x") for key in KEYS | OTHERS)
        yield client


async def walked(client, cursor=0):
    return [step async for step in scan_keys(client, b"a*[", cursor, wanted=200)]


async def test_every_key_with_the_prefix_comes_and_no_other(client):
    steps = await walked(client)
    assert {key for step in steps for key in step.keys} == KEYS
    assert steps[-1].following == 0
    assert all(len(step.keys) <= 400 for step in steps)


async def test_it_goes_on_from_the_cursor_of_any_part(client):
    steps = await walked(client)
    for i, step in enumerate(steps[:-1]):
        before = {key for one in steps[: i + 1] for key in one.keys}
        async with connect(f"redis+cluster://{client.address.replace(' ', '')}") as other:
            rest = await walked(other, step.following)
        assert rest[0].cursor == step.following
        assert before | {key for one in rest for key in one.keys} == KEYS


async def test_when_a_slot_has_moved_a_cursor_means_nothing_and_all_keys_come_again(client, redis_cluster):
    steps = await walked(client)
    move(redis_cluster, b"a*[0]")
    again = await walked(client, steps[-2].following)
    assert {key for step in again for key in step.keys} == KEYS


async def test_a_slot_that_moves_in_the_middle_ends_the_walk(client, redis_cluster):
    walk = scan_keys(client, b"a*[", 0, wanted=200)
    await anext(walk)
    move(redis_cluster, b"a*[0]")
    with pytest.raises(UnavailableError, match="begin the scan again"):
        [step async for step in walk]
    await walk.aclose()


async def test_while_a_slot_is_being_moved_nothing_is_promised(client, redis_cluster):
    slot, source = slot_of(b"a*[0]"), redis_cluster.owner_of(b"a*[0]")
    target = next(node for node in redis_cluster.nodes if node is not source)
    redis_cluster.begin_move(slot, source, target)
    with pytest.raises(UnavailableError, match="being moved"):
        await walked(client)
    redis_cluster.move_keys(slot, source, target)
    redis_cluster.end_move(slot, target)
    assert {key for step in await walked(client) for key in step.keys} == KEYS


async def test_a_node_that_was_started_again_has_its_keys_in_another_order(client, redis_cluster):
    steps = await walked(client)
    inside = next(step for step in steps if step.following % 2**64)
    with redis_cluster.nodes[0].killed(), redis_cluster.nodes[1].killed(), redis_cluster.nodes[2].killed():
        pass
    redis_cluster.wait_until_whole()
    await asyncio.sleep(0.1)  # until the connections are known to be gone
    await client.ask_all(("SET", key, "x") for key in KEYS)
    again = await walked(client, inside.following)
    assert {key for step in again for key in step.keys} == KEYS


def move(cluster, key):
    slot, source = slot_of(key), cluster.owner_of(key)
    target = next(node for node in cluster.nodes if node is not source)
    cluster.begin_move(slot, source, target)
    cluster.move_keys(slot, source, target)
    cluster.end_move(slot, target)

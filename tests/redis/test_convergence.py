"""Redis beside the definition in memory: whatever is done on both, once all changes are joined both are equal."""

import random
from dataclasses import replace

import pytest

from chatstore.models import (
    ChatChange,
    DeleteDocuments,
    DocumentKey,
    Embedding,
    NewDocument,
    NewMessage,
    Side,
    UpsertDocuments,
)
from chatstore.redis import RedisChat, RedisDocuments, chat_layout, document_layout
from chatstore.testing import MemoryChat, MemoryDocuments
from tests.redis.conftest import CREATED
from tests.redis.convergence import MESSAGES, SESSIONS, Underway, command, done, join, states, whole

LAYOUTS = ("hash", "chatstore")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("seed", range(12))
async def test_changes_in_any_order_and_twice_make_both_sides_equal(client, layout, seed):
    rng = random.Random(seed)
    redis, memory = RedisChat(client, chat_layout(layout)), MemoryChat(Side.NEW)
    underway = Underway(rng, most=6)
    for step in range(120):
        side, other = rng.choice([(redis, memory), (memory, redis)])
        await underway.send(other, await done(side, command(rng, step)))
    await underway.all_arrive()
    await join(redis, memory)
    assert await states(redis) == await states(memory)


@pytest.mark.parametrize("seed", range(6))
async def test_a_session_of_the_apps_converges_too(app, client, seed):
    rng = random.Random(seed)
    for session in SESSIONS:
        names = [f"{session}-{name}" for name in MESSAGES[:5]]
        for name in names:
            await app.message(name, session, content=name)
        await app.session(session, ids=names, createdAt=CREATED + seed)
    redis, memory = RedisChat(client, chat_layout("hash")), MemoryChat(Side.NEW)
    backfill = await whole(redis)
    for step in range(40):
        side = redis if step < 20 else rng.choice([redis, memory])
        if step == 20:
            await memory.put(backfill)
        await (memory if side is redis else redis).put(await done(side, command(rng, step)))
    await join(redis, memory)
    assert await states(redis) == await states(memory)
    for session in SESSIONS:
        held = await client.hget(f"session:{session}", "messageIds")
        if held is not None:
            assert await app.ids(session) == [m.id for m in await redis.messages("ann", session)]
    listed = {m.id for s in SESSIONS for part in [await states(redis)] for m in part[s][1]}
    assert {key.decode() async for key in client.scan_iter("message:*")} == {f"message:{name}" for name in listed}


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_a_change_in_parts_is_the_change(client, layout):
    redis, memory = RedisChat(client, chat_layout(layout)), MemoryChat(Side.NEW)
    await memory.create_session("ann", session_id="s")
    await memory.append("ann", "s", [NewMessage("user", name, id=f"s-{name}") for name in MESSAGES])
    await memory.delete_messages("ann", "s", ["s-c"])
    [change] = [c for c in await whole(memory) if isinstance(c, ChatChange)]
    parts = [replace(change, messages=(message,), tombstones=()) for message in change.messages]
    random.Random(0).shuffle(parts)
    await redis.put([*parts, replace(change, messages=())])
    assert await states(redis) == await states(memory)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("seed", range(6))
async def test_documents_converge(client, layout, seed):
    rng = random.Random(seed)
    redis, memory = RedisDocuments(client, document_layout(layout)), MemoryDocuments(Side.NEW)
    keys = [DocumentKey("ann", name) for name in "abc"]
    underway = Underway(rng, most=4)
    for step in range(80):
        side, other = rng.choice([(redis, memory), (memory, redis)])
        name = rng.choice("abc")
        new = NewDocument(f"text {step}", id=name, embedding=Embedding.of([rng.random(), step]), metadata={"s": step})
        written = await side.write(
            UpsertDocuments(user_id="ann", documents=(new,))
            if rng.random() < 0.7
            else DeleteDocuments(user_id="ann", ids=(name,))
        )
        await underway.send(other, written.changes)
    await underway.all_arrive()
    ours, theirs = [(await side.changes(keys)).changes for side in (redis, memory)]
    assert sorted(ours, key=lambda c: c.key) == sorted(theirs, key=lambda c: c.key)

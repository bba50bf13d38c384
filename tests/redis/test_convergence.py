"""Redis beside the definition in memory: whatever is done on both, once all changes are joined both are equal."""

import random
from dataclasses import replace

import pytest

from chatstore.errors import ConflictError, NotFoundError
from chatstore.models import (
    AppendMessages,
    ChatChange,
    ClearMessages,
    CreateSession,
    DeleteDocuments,
    DeleteMessages,
    DeleteSession,
    DocumentKey,
    EditMessage,
    Embedding,
    NewDocument,
    NewMessage,
    PopMessage,
    Side,
    UpdateSession,
    UpsertDocuments,
)
from chatstore.redis import RedisChat, RedisDocuments, chat_layout, document_layout
from chatstore.testing import MemoryChat, MemoryDocuments
from tests.redis.conftest import CREATED

SESSIONS = ("s", "t")
MESSAGES = tuple("abcdefgh")
LAYOUTS = ("hash", "chatstore")


def command(rng, step):
    session = rng.choice(SESSIONS)
    own = {"user_id": "ann", "session_id": session}
    # In the layout `hash` a message's id is one of the whole database's.
    names = [f"{session}-{name}" for name in rng.sample(MESSAGES, rng.randint(1, 3))]
    new = tuple(NewMessage("user", f"{name} at {step}", id=name, metadata={"step": step}) for name in names)
    return rng.choice(
        [
            CreateSession(**own, title=f"at {step}"),
            UpdateSession(**own, title=f"now {step}"),
            AppendMessages(**own, messages=new),
            AppendMessages(**own, messages=new),
            AppendMessages(**own, messages=new[:1], replace=True),
            EditMessage(**own, message_id=names[0], content=f"edited at {step}"),
            PopMessage(**own),
            DeleteMessages(**own, message_ids=tuple(names[:1])),
            ClearMessages(**own),
            DeleteSession(**own),
        ]
    )


async def states(side):
    found = {}
    for session in SESSIONS:
        parts = [change async for page in side.fetch([session]) for change in page.changes]
        messages = [message for part in parts for message in part.messages]
        tombstones = sorted((t.id, t.version) for part in parts for t in part.tombstones)
        assert messages == sorted(messages, key=lambda message: message.order)
        found[session] = [(p.session, p.deleted, p.cleared) for p in parts[:1]], messages, tombstones
    return found


async def whole(side):
    return [change async for page in side.fetch(SESSIONS) for change in page.changes]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("seed", range(12))
async def test_changes_in_any_order_and_twice_make_both_sides_equal(client, layout, seed):
    rng = random.Random(seed)
    redis, memory = RedisChat(client, chat_layout(layout)), MemoryChat(Side.NEW)
    underway = []
    for step in range(120):
        side, other = rng.choice([(redis, memory), (memory, redis)])
        try:
            written = await side.write(command(rng, step))
        except (NotFoundError, ConflictError):
            continue
        if written.change is not None:
            underway += [(other, written.change)] * rng.choice([1, 1, 2])
        rng.shuffle(underway)
        while len(underway) > 6:
            target, change = underway.pop()
            await target.put([change])
    for target, change in underway:
        await target.put([change])
    for side, other in [(redis, memory), (memory, redis), (redis, memory)]:
        await other.put(await whole(side))
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
        try:
            written = await side.write(command(rng, step))
        except (NotFoundError, ConflictError):
            continue
        if written.change is not None:
            await (memory if side is redis else redis).put([written.change])
    for side, other in [(redis, memory), (memory, redis)]:
        await other.put(await whole(side))
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
    underway = []
    for step in range(80):
        side, other = rng.choice([(redis, memory), (memory, redis)])
        name = rng.choice("abc")
        new = NewDocument(f"text {step}", id=name, embedding=Embedding.of([rng.random(), step]), metadata={"s": step})
        written = await side.write(
            UpsertDocuments(user_id="ann", documents=(new,))
            if rng.random() < 0.7
            else DeleteDocuments(user_id="ann", ids=(name,))
        )
        underway += [(other, change) for change in written.changes] * rng.choice([1, 2])
        rng.shuffle(underway)
        while len(underway) > 4:
            target, change = underway.pop()
            await target.put([change])
    for target, change in underway:
        await target.put([change])
    ours, theirs = [(await side.changes(keys)).changes for side in (redis, memory)]
    assert sorted(ours, key=lambda c: c.key) == sorted(theirs, key=lambda c: c.key)

"""An app over a cluster and another side, while slots move and a node stands still: both sides agree in the end."""

import asyncio
from datetime import timedelta

import pytest

from chatstore.errors import UnavailableError
from chatstore.migration import backfill_chat, verify_chat
from chatstore.models import Embedding, Kind, NewDocument, NewMessage, Side, Stage, new_id, utc_now
from chatstore.redis import RedisChat, RedisDocuments, ahead, chat_layout, connect, document_layout
from chatstore.redis.slots import slot_of
from chatstore.routing import ChatRouter, DocumentRouter, Sides, StageResolver, chat_repairer, document_repairer
from chatstore.testing import MemoryChat, MemoryDocuments, MemoryProgress
from tests.flags import Flags
from tests.migration.doubles import chat_content, document_content

VECTOR = Embedding.of([1.0, 0.0])


@pytest.fixture
async def client(redis_cluster):
    async with connect(redis_cluster.url) as client:
        for server in (await client.primaries()).values():
            server.answer_within = 0.5
        yield client


async def resolver(kind, sides, stage):
    for side in Side:
        await sides[side].journal.remember(verified_at=utc_now(), journal_open=True)
    return StageResolver(kind, [sides[side].journal for side in Side], client=Flags(stage).client)


@pytest.fixture(params=[Stage.DUALWRITE, Stage.LIVE])
async def chat(request, client):
    sides = Sides(RedisChat(client, chat_layout("chatstore")), MemoryChat(Side.NEW))
    router = ChatRouter(sides, await resolver(Kind.CHAT, sides, request.param))
    yield router
    await router.close()


@pytest.fixture
async def documents(client):
    sides = Sides(RedisDocuments(client, document_layout("hash")), MemoryDocuments(Side.NEW))
    router = DocumentRouter(sides, await resolver(Kind.DOCUMENTS, sides, Stage.DUALWRITE))
    yield router
    await router.close()


async def talk(chat, until, acknowledged):
    """Use sessions as users do until the event; a call that fails is what the user sees, and tries anew."""
    number = 0
    while not until.is_set():
        number += 1
        user, name = f"user-{number % 7}", f"s{number % 23}"
        message = NewMessage("user", str(number))
        try:
            await chat.create_session(f"user-{(number % 23) % 7}", session_id=name)
            await chat.append(f"user-{(number % 23) % 7}", name, message)
            acknowledged.setdefault(name, set()).add(message.id)
            if number % 5 == 0:
                await chat.list_sessions(user)
        except UnavailableError:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0)


async def write_documents(documents, until, acknowledged):
    while not until.is_set():
        batch = [NewDocument("x", id=new_id(), embedding=VECTOR) for _ in range(5)]
        try:
            acknowledged |= {one.id for one in await documents.upsert("ann", batch)}
        except UnavailableError:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0)


async def agreed(chat, acknowledged):
    await chat.replicator.drain()
    await repaired(chat_repairer(chat.sides))
    old, new = [await chat_content(chat.sides[side]) for side in Side]
    assert old == new
    for name, ids in acknowledged.items():
        found = [m.id async for page in chat.sides.old.fetch([name]) for c in page.changes for m in c.messages]
        assert ids <= set(found)
        assert len(found) == len(set(found))


async def repaired(repairer):
    """Repair until nothing is left to writers: of calls that failed, until their leases end."""
    for _ in range(100):
        if not (await repairer.run()).left:
            return
        await asyncio.sleep(0.3)
    pytest.fail("there are marks that nobody clears")


async def move(cluster, keys):
    """Move the slots of some keys to the next node, some keys at a time."""
    for key in keys:
        slot, source = slot_of(key), cluster.owner_of(key)
        target = cluster.nodes[(cluster.nodes.index(source) + 1) % len(cluster.nodes)]
        await asyncio.to_thread(cluster.begin_move, slot, source, target)
        while await asyncio.to_thread(cluster.move_keys, slot, source, target, 2):
            pass
        await asyncio.to_thread(cluster.end_move, slot, target)


async def test_slots_move_under_traffic(chat, documents, redis_cluster):
    over, sent, written = asyncio.Event(), {}, set()
    talking = [
        asyncio.create_task(talk(chat, over, sent)),
        asyncio.create_task(write_documents(documents, over, written)),
    ]
    await asyncio.sleep(0.1)
    prefix = chat.sides.old._layout.prefix
    journals = [chat.sides.old.journal._keys.marks, documents.sides.old.journal._keys.marks]
    # Of sessions, and of both journals.
    await move(redis_cluster, [*(prefix + b"s%d" % i for i in range(6)), *journals])
    over.set()
    await asyncio.gather(*talking)
    assert len(sent) > 5
    assert len(written) > 10
    await agreed(chat, sent)
    await documents.replicator.drain()
    await repaired(document_repairer(documents.sides))
    old, new = [await document_content(documents.sides[side]) for side in Side]
    assert old == new
    assert len(old) >= len(written)


async def test_a_node_that_stands_still_fails_calls_and_loses_nothing(chat, redis_cluster, monkeypatch):
    monkeypatch.setattr(ahead, "_DONE_WITHIN", timedelta(seconds=1))
    monkeypatch.setattr(ahead, "LEASE", timedelta(seconds=2))
    over, sent = asyncio.Event(), {}
    talking = asyncio.create_task(talk(chat, over, sent))
    await asyncio.sleep(0.1)
    with redis_cluster.nodes[0].stopped():
        await asyncio.sleep(0.8)
    await asyncio.sleep(0.1)
    over.set()
    await talking
    await agreed(chat, sent)


async def test_a_backfill_waits_while_slots_move_and_then_begins_again(client, redis_cluster):
    old, new = RedisChat(client, chat_layout("chatstore")), MemoryChat(Side.NEW)
    for i in range(40):
        await old.create_session("ann", session_id=f"s{i}")
    key = old._layout.prefix + b"s1"
    slot, source = slot_of(key), redis_cluster.owner_of(key)
    target = next(node for node in redis_cluster.nodes if node is not source)
    redis_cluster.begin_move(slot, source, target)
    progress = MemoryProgress()
    repair = chat_repairer(Sides(old, new), progress=progress).run
    copying = asyncio.create_task(backfill_chat(old, new, progress, repair=repair))
    await asyncio.sleep(0.3)
    assert not copying.done()
    redis_cluster.move_keys(slot, source, target)
    redis_cluster.end_move(slot, target)
    async with asyncio.timeout(30):
        # Each primary's walk that had not ended by then goes over all of them.
        assert (await copying).copied.sessions >= 40
    assert (await new.count()).sessions == 40
    assert (await verify_chat(old, new, progress, repair=repair)).differences == ()
    await old.close()

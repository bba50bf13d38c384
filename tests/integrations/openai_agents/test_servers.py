"""Over real servers: what the SDK's own `RedisSession` wrote, on both sides, and calls that meet."""

import asyncio

import pytest
from agents.extensions.memory import RedisSession

from chatstore.integrations.openai_agents import ChatstoreSession
from chatstore.migration import BackfillOptions, backfill_chat
from chatstore.models import Stage
from chatstore.routing import chat_repairer
from chatstore.testing import MemoryProgress
from tests.integrations.openai_agents.items import ITEMS, texts


async def test_what_the_sdk_wrote_to_redis_comes_out_on_both_sides_and_back(chat, flags, sides, sdk_redis, namespace):
    theirs = RedisSession(f"{namespace}-s", redis_client=sdk_redis)
    ours = ChatstoreSession(f"{namespace}-s", chat=chat, user_id=namespace)
    items = list(ITEMS.values())
    await theirs.add_items(items)
    assert texts(await ours.get_items()) == texts(items)

    flags.set(Stage.DUALWRITE)
    await ours.add_items(items)
    assert texts(await theirs.get_items()) == texts(items * 2)
    progress = MemoryProgress()
    repair = chat_repairer(sides, progress=progress).run
    await backfill_chat(sides.old, sides.new, progress, repair=repair, options=BackfillOptions(batch=50))

    flags.set(Stage.LIVE)
    assert texts(await ours.get_items()) == texts(items * 2)
    assert texts(await ours.get_items(3)) == texts(items[-3:])
    await ours.add_items(items)
    assert await ours.pop_item() == items[-1]
    assert texts(await theirs.get_items()) == texts(items * 3)[:-1]


@pytest.mark.parametrize("stage", [Stage.OFF, Stage.SHADOW, Stage.LIVE, Stage.COMPLETE])
async def test_no_item_is_popped_twice(chat, flags, namespace, stage):
    flags.set(stage)
    items = [{"role": "user", "content": str(number)} for number in range(12)]
    await ChatstoreSession(f"{namespace}-s", chat=chat, user_id=namespace).add_items(items)
    sessions = [ChatstoreSession(f"{namespace}-s", chat=chat, user_id=namespace) for _ in range(16)]
    popped = await asyncio.gather(*(session.pop_item() for session in sessions))
    assert sorted((item for item in popped if item), key=str) == sorted(items, key=str)
    assert await sessions[0].get_items() == []


@pytest.mark.parametrize("stage", [Stage.DUALWRITE, Stage.LIVE])
async def test_who_clears_beside_others_that_add_leaves_whole_batches(chat, flags, sides, namespace, stage):
    flags.set(stage)
    session = ChatstoreSession(f"{namespace}-s", chat=chat, user_id=namespace)
    batches = [[{"role": "user", "content": f"{n} {part}"} for part in "ab"] for n in range(8)]
    await session.add_items(batches[0])
    calls = [session.add_items(batch) for batch in batches[1:]]
    await asyncio.gather(*calls[:3], session.clear_session(), *calls[3:])
    kept = await session.get_items()
    assert batches[0][0] not in kept
    pairs = list(zip(kept[::2], kept[1::2], strict=True))
    assert all(list(pair) in batches for pair in pairs)
    await chat_repairer(sides).run()
    for side in (sides.old, sides.new):
        assert await ChatstoreSession(f"{namespace}-s", chat=side, user_id=namespace).get_items() == kept

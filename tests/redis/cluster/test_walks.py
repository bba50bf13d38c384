"""Walks over the sessions on each primary of a cluster, side by side."""

import pytest

from chatstore.ownership import SoleOwner
from chatstore.redis import RedisChat, chat_layout, connect
from tests.redis.cluster.test_scanning import move

NAMES = {f"s{number}" for number in range(600)}


@pytest.fixture(params=["chatstore", "langchain"])
async def chat(redis_cluster, request):
    async with connect(redis_cluster.url) as client:
        store = RedisChat(client, chat_layout(request.param, owners=SoleOwner("ann")))
        for name in sorted(NAMES):
            # In lists, those without messages are in their companions alone.
            await store.create_session("ann", session_id=name)
        yield store


async def walked(chat, cursor):
    return [page async for page in chat.keys(cursor)]


async def names_from(chat, cursor):
    return [name for page in await walked(chat, cursor) for name in page.keys]


async def test_each_primary_has_a_part_of_the_sessions_and_together_they_have_all(chat):
    starts = await chat.starts()
    parts = [await names_from(chat, start) for start in starts]
    assert len(parts) == 3
    assert all(len(set(part)) == len(part) > 100 for part in parts)
    assert sorted(name for part in parts for name in part) == sorted(NAMES)


async def test_a_part_goes_on_from_any_of_its_cursors_and_ends_where_it_ended(chat):
    for start in await chat.starts():
        pages = await walked(chat, start)
        for place, page in enumerate(pages[:-1], 1):
            rest = await names_from(chat, page.cursor)
            assert rest == [name for later in pages[place:] for name in later.keys]


async def test_where_a_slot_has_moved_since_every_part_is_all_of_it(chat, redis_cluster):
    starts = await chat.starts()
    move(redis_cluster, chat._layout.prefix + b"s1")
    for start in starts:
        assert set(await names_from(chat, start)) == NAMES

"""A record that comes back just as a list finds it gone stays in its user's index."""

import pytest

from chatstore.models import Embedding, NewDocument
from chatstore.redis import RedisChat, RedisDocuments, chat_layout, connect, document_layout
from chatstore.redis.index import UserIndex


@pytest.fixture
async def client(redis_database):
    async with connect(redis_database) as client:
        yield client


def at_the_worst_moments(monkeypatch, *, read, gone):
    """Once, await `read` when the index was read, and `gone` when the record was found to be gone."""
    page, drop, left = UserIndex.page, UserIndex.drop, [gone, read]

    async def after_page(self, *arguments):
        places = await page(self, *arguments)
        if len(left) == 2:
            await left.pop()()
        return places

    async def before_drop(self, user_id, ids):
        if left and ids:
            await left.pop()()
        await drop(self, user_id, ids)

    monkeypatch.setattr(UserIndex, "page", after_page)
    monkeypatch.setattr(UserIndex, "drop", before_drop)
    return left


async def test_a_document_that_is_written_again_meanwhile_is_listed(client, monkeypatch):
    store = RedisDocuments(client, document_layout("chatstore"))
    document = NewDocument("Green tea.", id="tea", embedding=Embedding.of([1, 0]))

    async def write():
        await store.upsert("ann", document)

    async def delete():
        await store.delete("ann", ["tea"])

    await write()
    left = at_the_worst_moments(monkeypatch, read=delete, gone=write)
    assert (await store.list_documents("ann")).items == ()
    assert left == []
    assert [document.id for document in (await store.list_documents("ann")).items] == ["tea"]


async def test_a_session_that_is_created_again_meanwhile_is_listed(client, monkeypatch):
    store = RedisChat(client, chat_layout("chatstore"))

    async def create():
        await store.create_session("ann", session_id="s")

    async def delete():
        await store.delete_session("ann", "s")

    await create()
    left = at_the_worst_moments(monkeypatch, read=delete, gone=create)
    assert (await store.list_sessions("ann")).items == ()
    assert left == []
    assert [session.id for session in (await store.list_sessions("ann")).items] == ["s"]

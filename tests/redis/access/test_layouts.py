"""In every layout that there is, the rights that are printed are enough."""

from dataclasses import replace

import pytest

from chatstore.models import Embedding, NewDocument, NewMessage, utc_now
from chatstore.ownership import as_owners
from chatstore.redis import (
    CHAT_LAYOUTS,
    DOCUMENT_LAYOUTS,
    RedisChat,
    RedisDocuments,
    chat_layout,
    connect,
    document_layout,
)
from chatstore.redis.access import Purpose, acl_rules
from tests.redis.access.test_rights import users_of
from tests.redis.keyed.index import make_index

VECTOR = Embedding.of([1.0, 0.0, 0.0])
SCHEMA = ("SCHEMA", "text", "TEXT", "_index_name", "TEXT", "_metadata_json", "TEXT", "embedding", "VECTOR", "FLAT", 6)


def chat_codec(name):
    return chat_layout(name, owners=None if CHAT_LAYOUTS[name].owned else as_owners(lambda _: "ann"))


def document_codec(name):
    owners = None if DOCUMENT_LAYOUTS[name].owned else as_owners(lambda _: "ann")
    return document_layout(name, index="index", owners=owners)


@pytest.mark.parametrize("name", sorted(CHAT_LAYOUTS))
async def test_for_sessions(search_redis, namespace, name):
    codec = chat_codec(name)
    async with connect(search_redis) as admin:
        if codec.keyed:
            await make_index(admin, codec)
    async with users_of(search_redis, namespace) as users:
        async with await users.given(acl_rules(Purpose.ROUTER, codec, None)) as client:
            chat = RedisChat(client, codec)
            session = await chat.create_session("ann", title="t", expires_at=utc_now().replace(year=2035))
            await chat.append("ann", session.id, [NewMessage("user", str(i)) for i in range(4)])
            _, second, *_ = await chat.messages("ann", session.id)
            await chat.edit_message("ann", session.id, second.id, content="edited")
            await chat.delete_messages("ann", session.id, [second.id])
            await chat.pop_message("ann", session.id)
            await chat.last_messages("ann", session.id, 2)
            await chat.list_sessions("ann")
            await chat.count()
            changes = [change async for page in chat.scan() for change in page.changes]
            await chat.put(changes)
            await chat.update_session("ann", session.id, title="z")
            await chat.clear_messages("ann", session.id)
            await chat.delete_session("ann", session.id)
            await chat.put([replace(change, session=None, messages=()) for change in changes])
            await chat.close()
        assert await users.refused() == []


@pytest.mark.parametrize("name", sorted(DOCUMENT_LAYOUTS))
async def test_for_documents(search_redis, namespace, name):
    async with connect(search_redis) as admin:
        if name in ("langchain-redis", "redisvl"):
            about = ("TYPE", "FLOAT32", "DIM", 3, "DISTANCE_METRIC", "COSINE")
            await admin.ask("FT.CREATE", "index", "ON", "HASH", "PREFIX", 1, "index:", *SCHEMA, *about)
        codec = document_codec(name)
        await codec.prepare(admin)  # some read their prefix from the index
    async with users_of(search_redis, namespace) as users:
        async with await users.given(acl_rules(Purpose.ROUTER, None, codec)) as client:
            documents = RedisDocuments(client, document_codec(name))
            for text in ("one", "two"):
                await documents.upsert("ann", NewDocument(text, id="a", embedding=VECTOR))
            await documents.get("ann", "a")
            await documents.search("ann", VECTOR)
            await documents.list_documents("ann")
            await documents.count()
            changes = [change async for page in documents.scan() for change in page.changes]
            await documents.put(changes)
            await documents.delete("ann", ["a"])
            await documents.close()
        assert await users.refused() == []

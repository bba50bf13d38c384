"""Over real servers: what lies in Redis as LlamaIndex's own `RedisChatStore` writes it, and calls that meet."""

import asyncio
import struct

import pytest
from llama_index.core.schema import MetadataMode
from llama_index.core.vector_stores.utils import node_to_metadata_dict
from redis.asyncio import Redis

from chatstore.chroma import ChromaClient, ChromaDocuments
from chatstore.integrations.llamaindex import ChatstoreChatStore, ChatstoreDBChatStore, ChatstoreVectorStore
from chatstore.migration import BackfillOptions, backfill_chat, backfill_documents
from chatstore.models import Kind, Side, Stage
from chatstore.ownership import load_owners
from chatstore.redis import RedisDocuments, connect, document_layout
from chatstore.routing import (
    DocumentRouter,
    Sides,
    StageResolver,
    chat_repairer,
    document_repairer,
    document_replicator,
)
from chatstore.testing import MemoryProgress
from tests.conformance.factories.chroma import new_database
from tests.integrations.llamaindex.messages import MESSAGES, texts
from tests.integrations.llamaindex.test_vector_store import KINDS, NODES, query
from tests.routing.pair import verified


@pytest.fixture
def layout_name():
    return "llamaindex"


async def test_what_llamaindex_wrote_to_redis_comes_out_on_both_sides_and_back(
    chat, flags, sides, redis_database, namespace
):
    key, store = f"{namespace}-s", ChatstoreChatStore(chat, user_id=namespace)
    items = texts(MESSAGES.values())
    async with Redis.from_url(redis_database, decode_responses=True) as redis:
        await redis.rpush(key, *items, '{"role":"user","content":"an older version wrote this","additional_kwargs":{}}')
        older = '{"role":"user","additional_kwargs":{},"blocks":[{"block_type":"text","text":"an older version wrote this"}]}'
        assert texts(await store.aget_messages(key)) == [*items, older]

        flags.set(Stage.DUALWRITE)
        await store.async_add_message(key, MESSAGES["a call"])
        assert (await redis.lrange(key, -1, -1)) == texts([MESSAGES["a call"]])
        progress = MemoryProgress()
        repair = chat_repairer(sides, progress=progress).run
        await backfill_chat(sides.old, sides.new, progress, repair=repair, options=BackfillOptions(batch=50))

        flags.set(Stage.LIVE)
        assert texts(await store.aget_messages(key)) == [*items, older, *texts([MESSAGES["a call"]])]
        await store.aset_messages(key, list(MESSAGES.values()))
        assert texts(await store.aget_messages(key)) == items
        assert await redis.lrange(key, 0, -1) == items


@pytest.mark.parametrize("stage", [Stage.DUALWRITE, Stage.LIVE])
async def test_no_message_is_given_to_two_that_delete(chat, flags, namespace, stage):
    flags.set(stage)
    key, store = f"{namespace}-s", ChatstoreChatStore(chat, user_id=namespace)
    messages = [MESSAGES["user"].model_copy(update={"additional_kwargs": {"n": n}}) for n in range(8)]
    await store.aset_messages(key, messages)
    calls = [store.adelete_last_message(key) for _ in range(5)] + [store.adelete_message(key, 0) for _ in range(5)]
    taken = [message for message in await asyncio.gather(*calls) if message]
    assert sorted(texts(taken)) == sorted(texts(messages))
    assert await store.aget_messages(key) == []


async def test_archived_messages_are_so_on_both_sides(chat, flags, sides, namespace):
    flags.set(Stage.DUALWRITE)
    key, store = f"{namespace}-s", ChatstoreDBChatStore(chat, user_id=namespace)
    await store.add_messages(key, list(MESSAGES.values()))
    archived = await store.archive_oldest_messages(key, 3)
    await chat_repairer(sides).run()
    for side in (sides.old, sides.new):
        there = ChatstoreDBChatStore(side, user_id=namespace)
        assert texts(await there.get_messages(key, status=None)) == texts(MESSAGES.values())
        assert await there.count_messages(key) == len(MESSAGES) - len(archived)


async def test_nodes_that_llamaindex_wrote_to_redis_come_out_on_both_sides(
    redis_database, chroma_url, namespace, flags
):
    layout = document_layout("llamaindex", prefix="llama_index/vector_", owners=load_owners(f"all:{namespace}"))
    async with (
        Redis.from_url(redis_database) as redis,
        connect(redis_database) as client,
        ChromaClient.server(chroma_url, database=new_database(chroma_url)) as chroma,
    ):
        for node in NODES:  # as its `RedisVectorStore` does
            said = node_to_metadata_dict(node, remove_text=True)
            fields = {"id": node.node_id, "text": node.get_content(MetadataMode.NONE), **said}
            vector = struct.pack("<2f", *node.embedding)
            fields = {name: value for name, value in fields.items() if isinstance(value, str | int)}
            await redis.hset(f"llama_index/vector_{node.node_id}", mapping={**fields, "vector": vector})
        sides = Sides(RedisDocuments(client, layout), ChromaDocuments(chroma))
        await verified(sides)
        stages = StageResolver(Kind.DOCUMENTS, [sides[side].journal for side in Side], client=flags.client, refresh=0.0)
        router = DocumentRouter(sides, stages, replicator=document_replicator(sides, inline=True))
        store = ChatstoreVectorStore(router, user_id=namespace)

        async def found():
            assert (await store.aquery(query(k=2))).ids == ["n1", "n2"]
            return {node.node_id: node.model_dump_json() for node in await store.aget_nodes()}

        there = {node.node_id: node.model_dump_json() for node in NODES}
        assert await found() == there
        flags.set(Stage.DUALWRITE)
        kinds = [node.model_copy(update={"id_": f"k{n}"}) for n, node in enumerate(KINDS.values())]
        kinds = [node.model_copy(update={"embedding": [-1.0, 0.5]}) for node in kinds]
        await store.async_add(kinds)
        there |= {node.node_id: node.model_dump_json() for node in kinds}
        progress = MemoryProgress()
        await backfill_documents(
            sides.old,
            sides.new,
            progress,
            repair=document_repairer(sides, progress=progress).run,
            options=BackfillOptions(batch=50, settle_seconds=0),
        )
        flags.set(Stage.LIVE)
        assert await found() == there
        await store.adelete("d1")
        flags.set(Stage.DUALWRITE)
        assert {name[0] for name in await store_ids(store)} == {"n", "k"}
        assert "n1" not in await store_ids(store)
        await router.replicator.close()
        await router.shadow.close()
        await stages.close()


async def store_ids(store):
    return {node.node_id for node in await store.aget_nodes()}

"""What LangChain's packages left in a Redis with search and JSON, by the interfaces that stand in their place."""

import json

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.messages import messages_from_dict

from chatstore.integrations.langchain import ChatstoreHistory, ChatstoreVectorStore
from chatstore.models import Kind, Stage
from chatstore.routing import DocumentRouter, Sides
from tests.frameworks import conversations, dumps
from tests.frameworks.embedding import embed
from tests.integrations.langchain.conftest import resolver
from tests.redis.documents.conftest import OWNER, app, world
from tests.redis.moving_chats import beside_supabase

__all__ = ["app", "world"]

SESSION = "user-1:session-1"


class Hashed(Embeddings):
    """The embeddings that the documents were written with."""

    def embed_documents(self, texts):
        return [embed(text) for text in texts]

    def embed_query(self, text):
        return embed(text)


def in_redis(app, session):
    """Return the messages of a session as langchain-redis reads them: by their times, by type and data."""
    found = [json.loads(app.execute_command("JSON.GET", key)) for key in app.scan_iter(f"chat:{session}:*")]
    return messages_from_dict(sorted(found, key=lambda document: document["timestamp"]))


async def test_a_history_reads_what_langchain_redis_wrote_at_every_stage(app, search_redis, settings):
    dumps.load("langchain-redis-chat").restore(app)
    expected = in_redis(app, SESSION)
    assert len(expected) > 3
    async with beside_supabase(search_redis, settings) as opened:
        chats = await opened("langchain-redis")
        await chats.move(chats.old, chats.new)
        for stage in (Stage.OFF, Stage.LIVE, Stage.COMPLETE):
            router = await chats.router(stage)
            assert await ChatstoreHistory(SESSION, chat=router, user_id=OWNER).aget_messages() == expected
            await router.replicator.close()
            await router.shadow.close()


async def test_every_kind_of_message_is_kept_beside_langchain_redis(app, search_redis, settings):
    dumps.load("langchain-redis-chat").restore(app)
    every_kind = messages_from_dict(conversations.LANGCHAIN)
    async with beside_supabase(search_redis, settings) as opened:
        chats = await opened("langchain-redis")
        router = await chats.router(Stage.DUALWRITE)
        history = ChatstoreHistory("s", chat=router, user_id=OWNER)
        await history.aadd_messages(every_kind)
        assert await history.aget_messages() == every_kind
        assert in_redis(app, "s") == every_kind
        await router.replicator.drain()
        assert await ChatstoreHistory("s", chat=chats.new, user_id=OWNER).aget_messages() == every_kind
        await router.replicator.close()
        await router.shadow.close()


@pytest.mark.parametrize(
    ("dump", "layout", "index"),
    [
        ("langchain-documents-schema", "langchain", "tea"),
        ("langchain-redis-documents-hash", "langchain-redis", "tea"),
        ("langchain-redis-documents-json", "langchain-redis", "tea"),
    ],
)
async def test_a_vector_store_finds_what_langchains_redis_stores_wrote_at_two_stages(dump, layout, index, app, world):
    dumps.load(dump).restore(app)
    opened = await world(layout, index=index)
    await opened.move()
    sides = Sides(opened.old, opened.new)
    for stage in (Stage.OFF, Stage.LIVE):
        router = DocumentRouter(sides, await resolver(Kind.DOCUMENTS, sides, stage))
        vectors = ChatstoreVectorStore(Hashed(), store=router, user_id=OWNER)
        for left in conversations.DOCUMENTS[:2]:
            [(found, distance)] = await vectors.asimilarity_search_with_score(left["text"], k=1)
            assert found.page_content == left["text"]
            assert distance == pytest.approx(0, abs=1e-6)
            assert str(found.metadata["page"]) == str(left["metadata"]["page"])
            assert await vectors.aget_by_ids([found.id]) == [found]
        await router.replicator.close()
        await router.shadow.close()

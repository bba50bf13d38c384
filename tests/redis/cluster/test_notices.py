"""What other programs write to a cluster is noticed on every node, and our own writes are not taken for theirs."""

import asyncio

import pytest

from chatstore.models import Embedding, NewDocument
from chatstore.redis import RedisDocuments, connect, document_layout, foreign_documents
from chatstore.redis.notifications import SETTING
from tests.redis.cluster.test_scanning import move
from tests.redis.conftest import App
from tests.redis.notifications.watching import SOON, watching

LAYOUT = document_layout("hash")
NAMES = [f"d{i}" for i in range(30)]


class Nodes:
    """What the app of other tests writes with, on the nodes of a cluster."""

    def __init__(self, client):
        self._client = client

    async def hset(self, key, mapping):
        await self._client.ask("HSET", key, *(part for pair in mapping.items() for part in pair))


@pytest.fixture
async def client(redis_cluster):
    for node in redis_cluster.nodes:
        node.ask("CONFIG", "SET", SETTING, "Kgh")
    async with connect(redis_cluster.url) as client:
        yield client
    for node in redis_cluster.nodes:
        node.ask("CONFIG", "SET", SETTING, "")


async def test_on_every_node_and_after_slots_have_moved(client, redis_cluster, monkeypatch, caplog):
    monkeypatch.setattr("chatstore.redis.foreign_writes._IDLE", 0.2)
    app = App(Nodes(client))
    documents = RedisDocuments(client, LAYOUT)
    async with watching(foreign_documents, client, LAYOUT) as watched:
        for i in range(20):
            await documents.upsert("ann", NewDocument("ours", id=f"own{i}", embedding=Embedding.of([1.0])))
        for name in NAMES:
            await app.document(name)
        assert {await watched.next() for _ in NAMES} == {("ann", name) for name in NAMES}
        assert watched.none_is_left

        watched.watch.listening.clear()
        await asyncio.to_thread(move, redis_cluster, b"document:d0")
        async with asyncio.timeout(SOON):
            await watched.watch.listening.wait()
        assert "chatstore verify finds it" in caplog.text
        await app.document("d0", title="anew")
        async with asyncio.timeout(SOON):
            while await watched.next() != ("ann", "d0"):
                pass
    await documents.close()

"""A Redis that another program wrote, and the stores over it."""

import json

import pytest

from chatstore.redis import RedisChat, RedisDocuments, chat_layout, connect, document_layout

CREATED = 1_700_000_000_000
UPDATED = 1_700_000_100_000


class App:
    """An app that writes the layout `hash` by itself, and knows nothing of chatstore."""

    def __init__(self, client):
        self.client = client

    async def session(self, name, user="ann", ids=(), **fields):
        held = {
            "userId": user,
            "title": f"about {name}",
            "createdAt": CREATED,
            "updatedAt": UPDATED,
            "messageIds": json.dumps(list(ids)),
            "metadata": "{}",
        }
        await self.client.hset(f"session:{name}", mapping={**held, **fields})

    async def message(self, name, session, content="hello", role="user", **fields):
        held = {"sessionId": session, "role": role, "content": content, "createdAt": CREATED, "metadata": "{}"}
        await self.client.hset(f"message:{name}", mapping={**held, **fields})

    async def conversation(self, session, count, user="ann"):
        ids = [f"{session}-{i}" for i in range(count)]
        for i, name in enumerate(ids):
            await self.message(name, session, content=str(i), role=("user", "assistant")[i % 2])
        await self.session(session, user, ids)
        return ids

    async def document(self, name, user="ann", embedding=(1.0, 0.0), **fields):
        held = {
            "userId": user,
            "title": f"the {name}",
            "content": f"text of {name}",
            "url": f"https://example.com/{name}",
            "embedding": json.dumps(list(embedding)),
            "metadata": "{}",
            "createdAt": CREATED,
            "updatedAt": UPDATED,
        }
        await self.client.hset(f"document:{name}", mapping={**held, **fields})

    async def ids(self, session):
        return json.loads(await self.client.hget(f"session:{session}", "messageIds"))


@pytest.fixture
async def client(redis_database):
    async with connect(redis_database) as client:
        yield client


@pytest.fixture
def app(client):
    return App(client)


@pytest.fixture
async def chat(client):
    store = RedisChat(client, chat_layout("hash"))
    yield store
    await store.close()


@pytest.fixture
async def documents(client):
    store = RedisDocuments(client, document_layout("hash"))
    yield store
    await store.close()


@pytest.fixture
def scanned():
    """A function that reads a side whole: its changes and its quarantine."""

    async def scan(side, cursor=None):
        changes, bad = [], []
        async for page in side.scan(cursor):
            changes += page.changes
            bad += page.quarantined
        return changes, bad

    return scan

"""A Redis with messages that have a key each, as the frameworks write them, and a store over it."""

import json

import pytest

from chatstore.models import Side
from chatstore.ownership import load_owners
from chatstore.redis import RedisChat, chat_layout, connect
from chatstore.testing import MemoryChat
from tests.redis.keyed.index import make_index

BEGUN = 1_700_000_000
LAYOUTS = ("langchain-redis", "redisvl")


class LangchainRedisApp:
    """An app that uses langchain-redis and knows nothing of chatstore."""

    def __init__(self, client):
        self.client = client

    def key(self, session, name):
        return f"chat:{session}:{name}"

    def fields(self, session, name, time, content, **others):
        document = {
            "type": "human",
            "message_id": name,
            "data": {"content": content, "additional_kwargs": {}, "type": "human"},
            "session_id": session,
            "timestamp": BEGUN + time,
        }
        return {**document, **others}

    def write_command(self, session, name, time, content="hello", **others):
        fields = self.fields(session, name, float(time), content, **others)
        return ("JSON.SET", self.key(session, name), "$", json.dumps(fields))

    async def raw(self, key):
        return await self.client.execute_command("JSON.GET", key)

    async def time_of(self, key):
        return json.loads(await self.raw(key))["timestamp"]

    def refused(self):
        """Return what makes the search index refuse a message."""
        return {"data": {"content": [{"type": "text", "text": "hello"}], "additional_kwargs": {}, "type": "human"}}


class RedisvlApp(LangchainRedisApp):
    """An app that uses redisvl and knows nothing of chatstore."""

    def fields(self, session, name, time, content, **others):
        return {
            "entry_id": f"{session}:{name}",
            "role": "user",
            "content": content,
            "session_tag": session,
            "timestamp": str(BEGUN + time),
            **others,
        }

    def write_command(self, session, name, time, content="hello", **others):
        fields = self.fields(session, name, float(time), content, **others)
        return ("HSET", self.key(session, name), *(part for pair in fields.items() for part in pair))

    async def raw(self, key):
        return await self.client.hgetall(key) or None

    async def time_of(self, key):
        return float(await self.client.hget(key, "timestamp"))

    def refused(self):
        return {"tool_call_id": "call_1"}


APPS = {"langchain-redis": LangchainRedisApp, "redisvl": RedisvlApp}


async def _write(app, session, count, first=0, **others):
    commands = [
        app.write_command(session, f"m{i:05}", i, content=str(i), **others) for i in range(first, first + count)
    ]
    for start in range(0, count, 2000):
        await app.client.ask_all(commands[start : start + 2000])
    return [f"m{i:05}" for i in range(first, first + count)]


LangchainRedisApp.write = _write


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return chat_layout(request.param, owners=load_owners("all:ann"))


@pytest.fixture
async def client(search_redis, layout):
    async with connect(search_redis) as client:
        await make_index(client, layout)
        yield client


@pytest.fixture
def app(client, layout):
    return APPS[layout.name](client)


@pytest.fixture
async def chat(client, layout):
    store = RedisChat(client, layout)
    yield store
    await store.close()


@pytest.fixture
def memory():
    return MemoryChat(Side.NEW)

"""Redis, in the layout of existing web apps and in the one for new apps."""

from contextlib import asynccontextmanager

from chatstore.models import Kind
from chatstore.redis import (
    CHAT_LAYOUTS,
    RedisChat,
    RedisDocuments,
    RedisProgress,
    chat_layout,
    connect,
    document_layout,
)


def _chat(layout):
    @asynccontextmanager
    async def opened(request):
        async with connect(request.getfixturevalue("redis_database")) as client:
            yield RedisChat(client, chat_layout(layout))

    return opened


def _documents(layout):
    @asynccontextmanager
    async def opened(request):
        async with connect(request.getfixturevalue("redis_database")) as client:
            yield RedisDocuments(client, document_layout(layout))

    return opened


@asynccontextmanager
async def _progress(request):
    async with connect(request.getfixturevalue("redis_database")) as client:
        yield RedisProgress(client, Kind.CHAT)


CHAT = {f"redis-{name}": _chat(name) for name in CHAT_LAYOUTS}
DOCUMENTS = {"redis-hash": _documents("hash"), "redis-chatstore": _documents("chatstore")}
PROGRESS = {"redis": _progress}

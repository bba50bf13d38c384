"""Redis, in every layout that there is."""

from contextlib import asynccontextmanager

from chatstore.models import Kind
from chatstore.redis import (
    CHAT_LAYOUTS,
    DOCUMENT_LAYOUTS,
    RedisChat,
    RedisDocuments,
    RedisProgress,
    chat_layout,
    connect,
    document_layout,
)
from tests.redis.keyed.index import make_index


def _chat(layout):
    @asynccontextmanager
    async def opened(request):
        codec = chat_layout(layout)
        async with connect(
            request.getfixturevalue("search_redis" if codec.needs_modules else "redis_database")
        ) as client:
            if codec.keyed:
                await make_index(client, codec)
            yield RedisChat(client, codec)

    return opened


def _documents(layout, index_on=None):
    """A layout on the server that it needs; with `index_on`, under a search index on hashes or JSON documents."""

    @asynccontextmanager
    async def opened(request):
        needs_more = index_on or DOCUMENT_LAYOUTS[layout].needs_modules
        async with connect(request.getfixturevalue("search_redis" if needs_more else "redis_database")) as client:
            if index_on:
                await client.ask(
                    "FT.CREATE", "index", "ON", index_on, "PREFIX", 1, "index:", "SCHEMA", *_schema(index_on)
                )
            codec = document_layout(layout, index="index")
            await codec.prepare(client)
            codec.dimension = None  # the suite writes vectors of several, for which one index has no place
            yield RedisDocuments(client, codec)

    return opened


def _schema(index_on):
    path = "$." if index_on == "JSON" else ""
    for name in ("text", "_index_name", "_metadata_json"):
        yield from (f"{path}{name}", "AS", name, "TEXT")
    yield from (f"{path}embedding", "AS", "embedding", "VECTOR", "FLAT", 6)
    yield from ("TYPE", "FLOAT32", "DIM", 3, "DISTANCE_METRIC", "COSINE")


@asynccontextmanager
async def _progress(request):
    async with connect(request.getfixturevalue("redis_database")) as client:
        yield RedisProgress(client, Kind.CHAT)


CHAT = {f"redis-{name}": _chat(name) for name in CHAT_LAYOUTS}
DOCUMENTS = {f"redis-{name}": _documents(name) for name in DOCUMENT_LAYOUTS} | {
    "redis-redisvl": _documents("redisvl", "HASH"),
    "redis-redisvl-json": _documents("redisvl", "JSON"),
    "redis-langchain-redis-json": _documents("langchain-redis", "JSON"),
}
PROGRESS = {"redis": _progress}

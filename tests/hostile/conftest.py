"""Every way in: each store alone, and the router that stands before two real servers, opened once for a file of tests."""

from contextlib import AsyncExitStack

import pytest

from chatstore.chroma import ChromaClient, ChromaDocuments, Single
from chatstore.models import Kind, Side, Stage, utc_now
from chatstore.redis import RedisChat, RedisDocuments, chat_layout, connect, document_layout
from chatstore.routing import (
    ChatRouter,
    DocumentRouter,
    Sides,
    StageResolver,
    chat_replicator,
    document_replicator,
)
from chatstore.supabase import ServiceClient, SupabaseChat
from tests.conformance.factories.chroma import new_database
from tests.conftest import empty_database
from tests.flags import Flags

CHATS = ("redis", "supabase", "router")
DOCUMENTS = ("redis", "chroma", "chroma-shared", "router")


@pytest.fixture(scope="module")
async def chats(stack, settings):
    """The chat stores by name. The router is at stage `dualwrite`, and a write returns when both sides have it."""
    async with AsyncExitStack() as closing:
        client = ServiceClient.connect(settings.supabase_url, settings.supabase_secret_key, timeout=60)
        closing.push_async_callback(client.close)
        alone, behind = [await closing.enter_async_context(connect(empty_database(stack))) for _ in range(2)]
        sides = Sides(RedisChat(behind, chat_layout("hash")), SupabaseChat(client))
        resolver = await _dualwrite(Kind.CHAT, sides)
        router = ChatRouter(sides, resolver, replicator=chat_replicator(sides, inline=True, deadline=60))
        closing.push_async_callback(router.close)
        yield {"redis": RedisChat(alone, chat_layout("hash")), "supabase": SupabaseChat(client), "router": router}


@pytest.fixture(scope="module")
async def document_stores(stack, chroma_url):
    """The document stores by name; as `chats`."""
    async with AsyncExitStack() as closing:
        databases = [new_database(chroma_url) for _ in range(3)]
        clients = [
            await closing.enter_async_context(ChromaClient.server(chroma_url, database=name, timeout=60))
            for name in databases
        ]
        alone, behind = [await closing.enter_async_context(connect(empty_database(stack))) for _ in range(2)]
        sides = Sides(RedisDocuments(behind, document_layout("hash")), ChromaDocuments(clients[2]))
        resolver = await _dualwrite(Kind.DOCUMENTS, sides)
        router = DocumentRouter(sides, resolver, replicator=document_replicator(sides, inline=True, deadline=60))
        closing.push_async_callback(router.close)
        yield {
            "redis": RedisDocuments(alone, document_layout("hash")),
            "chroma": ChromaDocuments(clients[0]),
            "chroma-shared": ChromaDocuments(clients[1], plan=Single()),
            "router": router,
        }


@pytest.fixture(params=CHATS)
def chat(request, chats):
    return chats[request.param]


@pytest.fixture(params=DOCUMENTS)
def documents(request, document_stores):
    return document_stores[request.param]


async def _dualwrite(kind, sides):
    journals = [sides[side].journal for side in Side]
    for journal in journals:
        await journal.forget_state()
        await journal.remember(verified_at=utc_now(), journal_open=True)
    return StageResolver(kind, journals, client=Flags(Stage.DUALWRITE).client)


@pytest.fixture
async def both(chats, document_stores):
    """Returns a function that says whether both sides of the router hold the same of a session, or of a document."""

    async def equal(store, read):
        if store not in (chats["router"], document_stores["router"]):
            return True
        old, new = [await read(store.sides[side]) for side in Side]
        return old == new

    return equal

"""LangGraph's own suite for checkpointers, over stores in memory, real servers, and the router."""

import asyncio
import itertools
from contextlib import asynccontextmanager

import pytest
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import ALL_CAPABILITIES

import chatstore
from chatstore.integrations.langgraph import ChatstoreSaver
from chatstore.models import Side, Stage
from chatstore.settings import load_settings
from chatstore.testing import MemoryChat
from tests.routing.pair import chat_pair


async def conforms(chat, user):
    users = (f"{user}-{number}" for number in itertools.count())

    @checkpointer_test(name="chatstore")
    async def saver():
        yield ChatstoreSaver(chat, user_id=next(users))

    await chat.list_sessions(user)  # the local Supabase sets itself up at its first request, which must be one alone
    # Each with a user of its own, so at once: they mostly wait for servers.
    reports = await asyncio.gather(*(validate(saver, capabilities={one.value}) for one in ALL_CAPABILITIES))
    results = {name: result for report in reports for name, result in report.results.items() if result.detected}
    assert [failure for result in results.values() for failure in result.failures] == []
    assert {name for name, result in results.items() if result.passed} == {one.value for one in ALL_CAPABILITIES}


@asynccontextmanager
async def memory(request):
    yield MemoryChat(Side.NEW)


@asynccontextmanager
async def router(request):
    chat, _ = await chat_pair(Stage.DUALWRITE)
    yield chat
    await chat.close()


def _redis(layout, **options):
    @asynccontextmanager
    async def opened(request):
        given = load_settings(redis_url=request.getfixturevalue("redis_database"), layout=layout, **options)
        async with chatstore.open(given) as stores:
            yield stores.chat

    return opened


@asynccontextmanager
async def supabase(request):
    settings = request.getfixturevalue("settings")
    given = load_settings(supabase_url=settings.supabase_url, supabase_secret_key=settings.supabase_secret_key)
    async with chatstore.open(given) as stores:
        yield stores.chat


STORES = {
    "memory": memory,
    "router": router,
    "hash": _redis("hash"),
    "langchain": _redis("langchain", owners="key:message_store:{user}:*"),
    "supabase": supabase,
}


@pytest.mark.parametrize("store", STORES)
async def test_langgraphs_own_suite_passes(store, request, namespace):
    async with STORES[store](request) as chat:
        await conforms(chat, f"{namespace}-user")

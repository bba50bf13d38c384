"""LangGraph's own suite for checkpointers, over stores in memory, real servers, and the router."""

import itertools
from contextlib import asynccontextmanager

import pytest
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import ALL_CAPABILITIES

import chatstore
from chatstore.integrations.langgraph_saver import ChatstoreSaver
from chatstore.models import Side, Stage
from chatstore.settings import load_settings
from chatstore.testing import MemoryChat
from tests.routing.pair import chat_pair


async def conforms(chat, user):
    users = (f"{user}-{number}" for number in itertools.count())

    @checkpointer_test(name="chatstore")
    async def saver():
        yield ChatstoreSaver(chat, user_id=next(users))

    report = await validate(saver)
    failures = [failure for result in report.results.values() for failure in result.failures]
    assert failures == []
    assert {name for name, result in report.results.items() if result.passed} == {c.value for c in ALL_CAPABILITIES}


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

"""The router is a store: at every stage it passes what a single one passes, and leaves both sides equal.

Over stores in memory, and over the real servers.
"""

from contextlib import asynccontextmanager

import psycopg
import pytest

from chatstore.backends import Backends
from chatstore.models import Kind, Side, Stage, utc_now
from chatstore.routing import ChatRouter, DocumentRouter, Outcome, Sides, StageResolver
from chatstore.routing.shadow import ShadowReader
from chatstore.settings import load_settings
from chatstore.testing import MemoryChat, MemoryDocuments
from chatstore.testing.chat_expiry import ChatExpirySuite
from chatstore.testing.chat_stores import ChatStoreSuite
from chatstore.testing.document_stores import DocumentStoreSuite
from tests.flags import Flags

BOTH = (Stage.DUALWRITE, Stage.SHADOW, Stage.LIVE, Stage.RAMPDOWN)


@pytest.fixture(params=list(Stage))
def stage(request):
    return request.param


@pytest.fixture(params=["memory", "servers"])
def where(request):
    return request.param


@asynccontextmanager
async def backends_of(request):
    """The real servers, with nothing of other tests in what is compared."""
    settings = request.getfixturevalue("settings")
    with psycopg.connect(settings.supabase_db_url, autocommit=True) as connection:
        connection.execute("truncate public.sessions, public.messages, chatstore.session_states cascade")
        connection.execute("delete from chatstore.marks")
    given = load_settings(
        redis_url=request.getfixturevalue("redis_database"),
        supabase_url=settings.supabase_url,
        supabase_secret_key=settings.supabase_secret_key,
        chroma_url=settings.chroma_url,
    )
    async with Backends(given) as backends:
        yield backends


async def resolver(kind, sides, stage):
    for side in Side:
        await sides[side].journal.forget_state()
        await sides[side].journal.remember(verified_at=utc_now(), journal_open=True)
    return StageResolver(kind, [sides[side].journal for side in Side], client=Flags(stage).client)


@pytest.fixture
def told():
    """What was compared."""
    return []


def patient(told):
    """Return a shadow reader that gives up no comparison because the machine is busy."""
    return ShadowReader(deadline=60, on_compared=(told.append,))


async def end(router, stage, held, told):
    """Both sides are equal when all is done, wherever both were written; no shadow read found a difference."""
    await router.replicator.drain()
    await router.shadow.drain()
    if stage in BOTH:
        old, new = [await held(router.sides[side]) for side in Side]
        assert old == new
        assert (router.replicator.counts.left, router.replicator.counts.contested) == (0, 0)
    assert [each for each in told if each.outcome not in {Outcome.EQUAL, Outcome.PENDING}] == []
    await router.close()


async def sessions_of(side):
    held = {}
    async for page in side.scan():
        for change in page.changes:
            held.setdefault(change.session_id, (change.session, []))[1].extend(change.messages)
    return held


@pytest.fixture
async def chat(request, stage, where, told):
    if where == "memory":
        sides = Sides(MemoryChat(Side.OLD), MemoryChat(Side.NEW))
        router = ChatRouter(sides, await resolver(Kind.CHAT, sides, stage), shadow=patient(told))
        yield router
        await end(router, stage, sessions_of, told)
        return
    async with backends_of(request) as backends:
        sides = await backends.chat_sides()
        router = ChatRouter(sides, await resolver(Kind.CHAT, sides, stage), shadow=patient(told))
        yield router
        await end(router, stage, sessions_of, told)


@pytest.fixture
async def documents(request, stage, where, told):
    users = set()

    async def documents_of(side):
        return {user: (await side.list_documents(user, limit=100)).items for user in users}

    class Watched(DocumentRouter):
        async def write(self, command):
            users.add(command.user_id)
            return await super().write(command)

    if where == "memory":
        sides = Sides(MemoryDocuments(Side.OLD), MemoryDocuments(Side.NEW))
        router = Watched(sides, await resolver(Kind.DOCUMENTS, sides, stage), shadow=patient(told))
        yield router
        await end(router, stage, documents_of, told)
        return
    async with backends_of(request) as backends:
        sides = await backends.document_sides()
        router = Watched(sides, await resolver(Kind.DOCUMENTS, sides, stage), shadow=patient(told))
        yield router
        await end(router, stage, documents_of, told)


class TestChatRouters(ChatStoreSuite):
    pass


class TestChatExpiry(ChatExpirySuite):
    pass


class TestDocumentRouters(DocumentStoreSuite):
    pass

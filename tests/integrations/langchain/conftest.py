"""The stores that LangChain's interfaces are tried over: in memory, and on real servers."""

from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from chatstore.chroma import ChromaClient, ChromaDocuments
from chatstore.models import Kind, Side, Stage, utc_now
from chatstore.redis import RedisDocuments, connect, document_layout
from chatstore.routing import DocumentRouter, Sides, StageResolver
from chatstore.stores import Stores
from chatstore.sync import BlockingStores
from chatstore.testing import MemoryChat, MemoryDocuments
from tests.conformance.factories.chroma import new_database
from tests.conftest import empty_database
from tests.flags import Flags


@pytest.fixture(scope="module")
def blocking_documents(stack):
    """A function that opens a blocking document store once for all tests of the module; see `documents_at`."""
    opened = {}

    def blocking(name):
        if name not in opened:
            opened[name] = BlockingStores(lambda: documents_at(name, stack))
        return opened[name].documents

    yield blocking
    for stores in opened.values():
        stores.close()


@asynccontextmanager
async def documents_at(name, stack):
    """Open a document store: `memory`, `redis`, `chroma`, or the router at a stage."""
    if name == "memory":
        yield SimpleNamespace(documents=MemoryDocuments(Side.OLD))
        return
    async with (
        connect(empty_database(stack)) as redis,
        ChromaClient.server(stack.settings.chroma_url, database=new_database(stack.settings.chroma_url)) as chroma,
    ):
        sides = Sides(RedisDocuments(redis, document_layout("langchain")), ChromaDocuments(chroma))
        if name in ("redis", "chroma"):
            yield SimpleNamespace(documents=sides[Side.OLD if name == "redis" else Side.NEW])
            return
        router = DocumentRouter(sides, await resolver(Kind.DOCUMENTS, sides, Stage(name)))
        yield SimpleNamespace(documents=router)
        await router.close()


async def resolver(kind, sides, stage):
    """Return what holds a router at a stage, both sides being whole."""
    for side in Side:
        await sides[side].journal.forget_state()
        await sides[side].journal.remember(verified_at=utc_now(), journal_open=True)
    return StageResolver(kind, [sides[side].journal for side in Side], client=Flags(stage).client)


@pytest.fixture
def blocking():
    """Blocking stores in memory."""
    with BlockingStores(memory_stores) as stores:
        yield stores


@asynccontextmanager
async def memory_stores():
    chat, documents = MemoryChat(Side.OLD), MemoryDocuments(Side.OLD)
    yield Stores(chat, documents)

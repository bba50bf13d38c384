"""The router is a store: at every stage it passes what a single one passes, and leaves both sides equal."""

import pytest

from chatstore.models import Kind, Side, Stage, utc_now
from chatstore.routing import ChatRouter, DocumentRouter, Sides, StageResolver
from chatstore.testing import MemoryChat, MemoryDocuments
from chatstore.testing.chat import ChatStoreSuite
from chatstore.testing.documents import DocumentStoreSuite
from tests.flags import Flags

BOTH = (Stage.DUALWRITE, Stage.SHADOW, Stage.LIVE, Stage.RAMPDOWN)


@pytest.fixture(params=list(Stage))
def stage(request):
    return request.param


async def resolver(kind, sides, stage):
    for side in Side:
        await sides[side].journal.remember(verified_at=utc_now(), journal_open=True)
    return StageResolver(kind, [sides[side].journal for side in Side], client=Flags(stage).client)


@pytest.fixture
async def chat(stage):
    sides = Sides(MemoryChat(Side.OLD), MemoryChat(Side.NEW))
    router = ChatRouter(sides, await resolver(Kind.CHAT, sides, stage))
    yield router
    await router.replicator.drain()
    await router.shadow.drain()
    if stage in BOTH:
        old, new = [[page async for page in sides[side].scan()] for side in Side]
        assert [page.changes for page in old] == [page.changes for page in new]
        for side in Side:
            assert (await sides[side].journal.backlog()).marks == 0
    assert router.shadow.counts.mismatched == 0
    await router.close()


@pytest.fixture
async def documents(stage):
    sides = Sides(MemoryDocuments(Side.OLD), MemoryDocuments(Side.NEW))
    router = DocumentRouter(sides, await resolver(Kind.DOCUMENTS, sides, stage))
    yield router
    await router.replicator.drain()
    await router.shadow.drain()
    if stage in BOTH:
        old, new = [[page async for page in sides[side].scan()] for side in Side]
        assert [page.changes for page in old] == [page.changes for page in new]
        for side in Side:
            assert (await sides[side].journal.backlog()).marks == 0
    assert router.shadow.counts.mismatched == 0
    await router.close()


class TestChatRouters(ChatStoreSuite):
    pass


class TestDocumentRouters(DocumentStoreSuite):
    pass

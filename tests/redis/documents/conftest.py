"""What frameworks left in a Redis with search, JSON and vector sets, and a Chroma to move it to."""

import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from chatstore.chroma import ChromaClient, ChromaDocuments
from chatstore.migration import BackfillOptions, VerifyOptions, backfill_documents, verify_documents
from chatstore.models import Kind
from chatstore.ownership import SoleOwner
from chatstore.redis import RedisDocuments, RedisProgress, connect, document_layout
from chatstore.routing import Sides, document_repairer
from tests.frameworks import dumps

OWNER = "user-1"
_QUICK = BackfillOptions(batch=50, settle_seconds=0)
_QUICK_VERIFY = VerifyOptions(batch=50, wait=0.05)


@pytest.fixture
def app(search_redis):
    """The app's own client."""
    with dumps.connect(search_redis) as client:
        yield client


@dataclass
class World:
    """Documents in Redis in one layout, and in Chroma."""

    old: RedisDocuments
    new: ChromaDocuments
    progress: RedisProgress

    async def move(self):
        """Move all to Chroma, and prove it."""
        report = await backfill_documents(self.old, self.new, self.progress, repair=self.repair, options=_QUICK)
        await self.prove()
        return report

    async def move_what_can_be(self):
        """Move all that can be moved to Chroma."""
        return await backfill_documents(self.old, self.new, self.progress, repair=self.repair, options=_QUICK)

    async def move_back(self):
        """Move all back to Redis, and prove it."""
        report = await backfill_documents(self.new, self.old, self.progress, repair=self.repair, options=_QUICK)
        await self.prove()
        return report

    async def prove(self):
        found = await verify_documents(self.old, self.new, self.progress, repair=self.repair, options=_QUICK_VERIFY)
        assert found.differences == ()

    @property
    def repair(self):
        return document_repairer(Sides(self.old, self.new), progress=self.progress).run


@pytest.fixture
async def world(search_redis):
    """A function that opens a layout of the test's Redis beside an empty Chroma."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        chroma = await stack.enter_async_context(ChromaClient.embedded(folder))
        new = ChromaDocuments(chroma)

        async def opened(layout, **options):
            options.setdefault("owners", SoleOwner(OWNER))
            client = await stack.enter_async_context(connect(search_redis))
            old = RedisDocuments(client, document_layout(layout, **options))
            stack.push_async_callback(old.close)
            return World(old, new, RedisProgress(client, Kind.DOCUMENTS))

        yield opened


def raw(client, prefix=b""):
    """Return what lies at all keys of the app's with a prefix, as the server gives it, with the time left in seconds."""
    return {
        key.key: (key.kind, key.value, key.ttl)
        for key in dumps.take(client, dict).keys
        if key.key.startswith(prefix) and not key.key.startswith(b"chatstore:")
    }

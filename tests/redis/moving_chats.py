"""Sessions in Redis in one layout beside those in Supabase, and the way from the one to the other."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager

import psycopg
import pytest

from chatstore.migration import BackfillOptions, VerifyOptions, backfill_chat, verify_chat
from chatstore.models import Kind, Side, utc_now
from chatstore.ownership import SoleOwner
from chatstore.redis import RedisChat, RedisProgress, chat_layout, connect
from chatstore.routing import ChatRouter, Sides, StageResolver, chat_repairer
from chatstore.supabase import ServiceClient, SupabaseChat
from tests.flags import Flags
from tests.frameworks import dumps

OWNER = "user-1"
_QUICK = BackfillOptions(batch=50, settle_seconds=0)
_QUICK_VERIFY = VerifyOptions(batch=50, wait=0.05)


class Chats:
    """Both sides, and what moves from one to the other."""

    def __init__(self, old, new, progress):
        self.old, self.new = old, new
        self.sides = Sides(old, new)
        self._progress = progress
        self._repair = chat_repairer(self.sides, progress=progress).run

    async def move(self, source, target, quarantined=0):
        """Migrate all of it, and verify that both sides are equal."""
        report = await backfill_chat(source, target, self._progress, repair=self._repair, options=_QUICK)
        found = await verify_chat(self.old, self.new, self._progress, repair=self._repair, options=_QUICK_VERIFY)
        assert (report.quarantined, found.differences) == (quarantined, ())

    async def router(self, stage):
        for side in Side:
            await self.sides[side].journal.remember(verified_at=utc_now(), journal_open=True)
        journals = [self.sides[side].journal for side in Side]
        return ChatRouter(self.sides, StageResolver(Kind.CHAT, journals, client=Flags(stage).client))


@asynccontextmanager
async def beside_supabase(redis_url, settings):
    """Yield a function that opens a layout of a Redis beside an empty Supabase."""
    with psycopg.connect(settings.supabase_db_url, autocommit=True) as connection:
        connection.execute("truncate public.sessions, public.messages, chatstore.session_states cascade")
        connection.execute("delete from chatstore.marks")
    async with AsyncExitStack() as stack:
        supabase = ServiceClient.connect(settings.supabase_url, settings.supabase_secret_key)
        stack.push_async_callback(supabase.close)
        new = SupabaseChat(supabase)
        await new.count()  # the lightweight server cannot take its first two requests at once

        async def opened(layout):
            client = await stack.enter_async_context(connect(redis_url))
            old = RedisChat(client, chat_layout(layout, owners=SoleOwner(OWNER)))
            stack.push_async_callback(old.close)
            return Chats(old, new, RedisProgress(client, Kind.CHAT))

        yield opened
        await new.journal.forget_state()


@pytest.fixture
async def chats_beside_supabase(redis_database, settings):
    async with beside_supabase(redis_database, settings) as opened:
        yield opened


@pytest.fixture
def app(redis_database):
    """The app's own client."""
    with dumps.connect(redis_database) as client:
        yield client


def values(found):
    """Return what lies at each key that `raw` found, without the time left."""
    return {key: (kind, value) for key, (kind, value, _) in found.items()}


def assert_same(found, expected):
    """What `raw` found is what it found before, and the same keys expire; a second may have passed in between."""
    assert values(found) == values(expected)
    assert {key for key, (*_, ttl) in found.items() if ttl is None} == {
        key for key, (*_, ttl) in expected.items() if ttl is None
    }

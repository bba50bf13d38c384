"""A framework whose messages have a key each, and chatstore, on the same sessions: to Supabase and back."""

from contextlib import AsyncExitStack

import psycopg
import pytest

from chatstore.migration import BackfillOptions, VerifyOptions, backfill_chat, verify_chat
from chatstore.models import Kind, NewMessage, Side, Stage, utc_now
from chatstore.ownership import SoleOwner
from chatstore.redis import RedisChat, RedisProgress, chat_layout, connect
from chatstore.routing import ChatRouter, Sides, StageResolver, chat_repairer
from chatstore.supabase import SupabaseChat, SupabaseClient
from tests.flags import Flags
from tests.frameworks import conversations, dumps
from tests.redis.documents.conftest import raw

OWNER = "user-1"
SESSION, SHORT = "user-1:session-1", "session-2"
_QUICK = BackfillOptions(batch=50, settle_seconds=0)
_QUICK_VERIFY = VerifyOptions(batch=50, wait=0.05)

# The framework, the layout, what is written, and the options of the framework's calls.
CHATS = {
    "langchain-redis": ("langchain-redis", "langchain-redis", conversations.LANGCHAIN_REDIS, {}),
    "redisvl": ("redisvl", "redisvl", conversations.REDISVL, {}),
    "redisvl-semantic": ("redisvl", "redisvl", conversations.REDISVL_SEMANTIC, {"semantic": True}),
}


class Talk:
    """An app with a framework on its sessions."""

    def __init__(self, name, framework, url):
        self.framework, self.layout, self.messages, self._options = CHATS[name]
        self._it = framework(self.framework)
        self._url = url

    def write(self, session, messages, **options):
        self._it.call("write_chat", url=self._url, session=session, messages=messages, **self._options, **options)

    def read(self, session):
        return self._it.call("read_chat", url=self._url, session=session, **self._options)

    def contents(self, session):
        return [each.get("content", each.get("data", {}).get("content")) for each in self.read(session)]


class World:
    """Sessions in Redis in one layout, and in Supabase."""

    def __init__(self, old, new, progress):
        self.old, self.new, self.progress = old, new, progress
        self.sides = Sides(old, new)
        self.repair = chat_repairer(self.sides, progress=progress).run

    async def move(self, source, target):
        report = await backfill_chat(source, target, self.progress, repair=self.repair, options=_QUICK)
        found = await verify_chat(self.old, self.new, self.progress, repair=self.repair, options=_QUICK_VERIFY)
        assert (report.quarantined, found.differences) == (0, ())

    async def router(self, stage):
        for side in Side:
            await self.sides[side].journal.remember(verified_at=utc_now(), journal_open=True)
        journals = [self.sides[side].journal for side in Side]
        return ChatRouter(self.sides, StageResolver(Kind.CHAT, journals, client=Flags(stage).client))


@pytest.fixture
async def world(search_redis, settings):
    """A function that opens a layout of the test's Redis beside an empty Supabase."""
    with psycopg.connect(settings.supabase_db_url, autocommit=True) as connection:
        connection.execute("truncate public.sessions, public.messages, chatstore.session_states cascade")
        connection.execute("delete from chatstore.marks")
    async with AsyncExitStack() as stack:
        supabase = SupabaseClient.connect(settings.supabase_url, settings.supabase_secret_key)
        stack.push_async_callback(supabase.close)
        new = SupabaseChat(supabase)
        await new.count()  # the lightweight server cannot take its first two requests at once

        async def opened(layout):
            client = await stack.enter_async_context(connect(search_redis))
            old = RedisChat(client, chat_layout(layout, owners=SoleOwner(OWNER)))
            stack.push_async_callback(old.close)
            return World(old, new, RedisProgress(client, Kind.CHAT))

        yield opened
        await new.journal.forget_state()


@pytest.fixture
def app(search_redis):
    with dumps.connect(search_redis) as client:
        yield client


def values(found):
    return {key: (kind, value) for key, (kind, value, _) in found.items()}


@pytest.mark.parametrize("name", CHATS)
async def test_a_framework_reads_what_chatstore_wrote_and_chatstore_what_the_framework_did(
    name, framework, search_redis, app, world
):
    talk = Talk(name, framework, search_redis)

    def write():
        talk.write(SESSION, talk.messages)
        if talk.framework == "langchain-redis":
            talk.write(SESSION, conversations.LANGCHAIN_REDIS_UNREADABLE[:2])  # their content has parts
        talk.write(SHORT, talk.messages[:2], ttl=1000)
        return {}

    left = dumps.take(app, write)
    begun = raw(app, b"chat:")
    opened = await world(talk.layout)
    await opened.move(opened.old, opened.new)
    assert raw(app, b"chat:").keys() == begun.keys()
    assert values(raw(app, b"chat:")) == values(begun)
    assert {message.expires_at is not None for message in await opened.new.messages(OWNER, SHORT)} == {True}

    for stage in (Stage.DUALWRITE, Stage.LIVE):
        store = await opened.router(stage)
        known = await store.messages(OWNER, SESSION)
        [edited] = [message for message in known if message.content.startswith("How is green tea made?")]
        await store.edit_message(OWNER, SESSION, edited.id, content=f"How is green tea made? {stage}")
        told = [NewMessage("user", f"{stage} 🍵 \\ \n"), NewMessage("assistant", stage), NewMessage("tool", "42")]
        for message in told:
            await store.append(OWNER, SESSION, message)
        await store.delete_messages(OWNER, SESSION, [told[1].id])
        await store.replicator.drain()
        await store.replicator.close()
        contents = talk.contents(SESSION)
        assert contents[1] == f"How is green tea made? {stage}"
        assert contents[-2:] == [f"{stage} 🍵 \\ \n", "42"]
    talk.write(SESSION, talk.messages[:1])
    await opened.move(opened.old, opened.new)
    assert [message.content for message in await opened.new.last_messages(OWNER, SESSION, 2)] == [
        "42",
        "You know about tea.",
    ]

    before, read = raw(app, b"chat:"), (talk.read(SESSION), talk.read(SHORT))
    app.flushall()
    for command in left.indexes:
        app.execute_command(*command)
    await opened.move(opened.new, opened.old)
    after = raw(app, b"chat:")
    assert values(after) == values(before)
    assert {key: ttl is None for key, (*_, ttl) in after.items()} == {
        key: ttl is None for key, (*_, ttl) in before.items()
    }
    assert (talk.read(SESSION), talk.read(SHORT)) == read


@pytest.mark.parametrize("name", ["langchain-redis-old-chat", "redisvl-old-chat", "langchain-redis-chat-unreadable"])
async def test_what_older_versions_left_and_what_no_version_reads_comes_back_as_it_was(name, app, world):
    dump = dumps.load(name)
    dump.restore(app)
    before = raw(app, b"chat:")
    opened = await world("redisvl" if "redisvl" in name else "langchain-redis")
    await opened.move(opened.old, opened.new)
    count = await opened.new.count()
    assert (count.sessions, count.messages) == (2, len(before))
    app.flushall()
    for command in dump.indexes:
        app.execute_command(*command)
    await opened.move(opened.new, opened.old)
    assert values(raw(app, b"chat:")) == values(before)

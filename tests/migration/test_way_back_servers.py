"""The way back on real servers: an app that knows nothing of chatstore finds its Redis as it left it."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
import redis

from chatstore.migration import (
    BackfillOptions,
    VerifyOptions,
    backfill_chat,
    backfill_documents,
    verify_chat,
    verify_documents,
)
from chatstore.models import (
    AppendMessages,
    DeleteDocuments,
    DeleteMessages,
    DeleteSession,
    EditMessage,
    Embedding,
    Kind,
    NewDocument,
    NewMessage,
    UpdateSession,
    UpsertDocuments,
)
from chatstore.redis import RedisProgress
from chatstore.redis.client import Server
from chatstore.routing import Sides, chat_repairer, document_repairer
from chatstore.supabase import SupabaseClient
from tests.conformance.registry import named
from tests.migration.doubles import ChatWorld, DocumentWorld
from tests.migration.hash_app import LATER, app_reads, fill_chat, fill_documents

QUICK = BackfillOptions(batch=50, settle_seconds=0)
QUICK_VERIFY = VerifyOptions(batch=50, wait=0.05)
LAYOUTS = ("redis-hash", "redis-chatstore")


@pytest.fixture
def app(redis_database):
    with redis.Redis.from_url(redis_database) as client:
        yield client


@pytest.fixture
async def opened(request):
    """A function that opens both sides of a kind on the test's own Redis."""
    async with AsyncExitStack() as servers:

        async def open_world(kind, old, new):
            sides = [await servers.enter_async_context(named(kind)[name](request)) for name in (old, new)]
            # A Redis client of another database would be another Redis.
            client = sides[0].journal._client
            if kind == "CHAT":
                await sides[1].count()  # Supabase's lightweight server cannot take its first two requests at once.
                return ChatWorld(*sides, RedisProgress(client, Kind.CHAT))
            return DocumentWorld(*sides, RedisProgress(client, Kind.DOCUMENTS))

        yield open_world


async def moved(world, backfill, verify, repair):
    """Move all to the new side, and prove it."""
    await backfill(world.old, world.new, world.progress, repair=repair, options=QUICK)
    assert (await verify(world.old, world.new, world.progress, repair=repair, options=QUICK_VERIFY)).equal


async def close(world):
    for journal in (world.old.journal, world.new.journal):
        await journal.remember(way_back_closed=True, journal_open=False)


def repair_of(world):
    repairer = chat_repairer if isinstance(world, ChatWorld) else document_repairer
    return repairer(Sides(world.old, world.new), progress=world.progress).run


async def states_of(side):
    """Return all states of a side, with versions, positions, extras and expiries."""
    return sorted([change async for page in side.scan() for change in page.changes], key=repr)


async def test_the_apps_own_code_finds_its_chats_in_a_redis_that_was_emptied(opened, app):
    fill_chat(app, sessions=20)
    before = app_reads(app, "session", "message")
    world = await opened("CHAT", "redis-hash", "supabase")
    await moved(world, backfill_chat, verify_chat, repair_of(world))
    app.flushdb()
    report = await backfill_chat(world.new, world.old, world.progress, repair=repair_of(world), options=QUICK)
    assert report.complete
    assert len(before) == 80
    assert app_reads(app, "session", "message") == before


async def test_the_apps_own_code_finds_its_documents_in_a_redis_that_was_emptied(opened, app):
    fill_documents(app, documents=20)
    before = app_reads(app, "document")
    world = await opened("DOCUMENTS", "redis-hash", "chroma-server")
    await moved(world, backfill_documents, verify_documents, repair_of(world))
    app.flushdb()
    report = await backfill_documents(world.new, world.old, world.progress, repair=repair_of(world), options=QUICK)
    assert report.complete
    assert len(before) == 20
    assert app_reads(app, "document") == before


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_what_was_written_while_the_way_back_was_closed_comes_back_and_opens_it(opened, app, layout):
    fill_chat(app, sessions=20)
    world = await opened("CHAT", "redis-hash", "supabase")
    if layout != "redis-hash":
        changes = await states_of(world.old)
        app.flushdb()
        world = await opened("CHAT", layout, "supabase")
        await world.old.put(changes)
    repair = repair_of(world)
    await moved(world, backfill_chat, verify_chat, repair)
    await close(world)
    for command in (
        AppendMessages(user_id="u", session_id="s0", messages=(NewMessage("user", "added", id="s0-m3"),)),
        EditMessage(user_id="u", session_id="s2", message_id="s2-m1", content="edited", metadata={"by": "u"}),
        DeleteMessages(user_id="u", session_id="s3", message_ids=("s3-m0", "s3-m2")),
        UpdateSession(user_id="u", session_id="s4", title="renamed"),
        DeleteSession(user_id="u", session_id="s5"),
    ):
        await world.write(world.new, command)
    assert (await world.new.journal.backlog()).marks == 0
    await backfill_chat(world.new, world.old, world.progress, repair=repair, options=QUICK)
    verified = await verify_chat(world.old, world.new, world.progress, repair=repair, options=QUICK_VERIFY)
    assert (verified.differences, verified.reopened) == ((), True)
    assert await states_of(world.old) == await states_of(world.new)
    if layout == "redis-hash":
        held = app_reads(app, "session", "message")
        assert held["session:s0"][0][b"messageIds"] == ["s0-m0", "s0-m1", "s0-m2", "s0-m3"]
        assert held["message:s0-m3"][0][b"content"] == b"added"
        edited = held["message:s2-m1"][0]
        assert (edited[b"content"], edited[b"metadata"], edited[b"toolCall"]) == (b"edited", {"by": "u"}, b"c1")
        assert held["session:s3"][0][b"messageIds"] == ["s3-m1"]
        assert not {"session:s5", "message:s5-m0", "message:s3-m0"} & set(held)
        assert held["session:s4"][0][b"title"] == b"renamed"
        assert held["session:s1"][1] == LATER


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_documents_too(opened, app, layout):
    world = await opened("DOCUMENTS", layout, "chroma-server")
    made = [NewDocument(f"text {n}", id=f"d{n}", embedding=Embedding.of([n, 0.1, 3e-7])) for n in range(10)]
    await world.write(world.old, UpsertDocuments(user_id="u", documents=tuple(made)))
    repair = repair_of(world)
    await moved(world, backfill_documents, verify_documents, repair)
    await close(world)
    edited = replace(made[1], text="edited", metadata={"page": 1}, embedding=Embedding.of([1, 2, 3]))
    added = NewDocument("added", id="d10", embedding=Embedding.of([1, 2, 4]))
    await world.write(world.new, UpsertDocuments(user_id="u", documents=(edited, added)))
    await world.write(world.new, DeleteDocuments(user_id="u", ids=("d2",)))
    await backfill_documents(world.new, world.old, world.progress, repair=repair, options=QUICK)
    verified = await verify_documents(world.old, world.new, world.progress, repair=repair, options=QUICK_VERIFY)
    assert (verified.differences, verified.reopened) == ((), True)
    assert await states_of(world.old) == await states_of(world.new)
    if layout == "redis-hash":
        held = app_reads(app, "document")
        assert held["document:d1"][0][b"embedding"] == [1, 2, 3]
        assert held["document:d10"][0][b"content"] == b"added"
        assert "document:d2" not in held


async def test_a_way_back_that_was_stopped_goes_on_where_it_was(opened, app, monkeypatch):
    monkeypatch.setattr("chatstore.supabase.chat._KEYS", 100)  # a checkpoint lies behind a page
    fill_chat(app, sessions=400)
    world = await opened("CHAT", "redis-hash", "supabase")
    await moved(world, backfill_chat, verify_chat, repair_of(world))
    app.flushdb()

    def stop(event):
        if event.done >= 1000:
            raise asyncio.CancelledError

    small = replace(QUICK, batch=40)
    with pytest.raises(asyncio.CancelledError):
        await backfill_chat(
            world.new, world.old, world.progress, repair=repair_of(world), on_progress=stop, options=small
        )
    assert 0 < (await world.old.count()).sessions < 400
    report = await backfill_chat(world.new, world.old, world.progress, repair=repair_of(world), options=small)
    assert (report.resumed, report.complete) == (True, True)
    assert await states_of(world.old) == await states_of(world.new)


@pytest.fixture
def requests(monkeypatch):
    """Counts what is sent: commands to Redis, requests to Supabase."""
    sent = {"redis": 0, "supabase": 0}

    def counted(owner, name, server, weight):
        original = getattr(owner, name)

        async def send(self, *arguments):
            arguments, number = weight(arguments)
            sent[server] += number
            return await original(self, *arguments)

        monkeypatch.setattr(owner, name, send)

    counted(Server, "ask", "redis", lambda arguments: (arguments, 1))
    counted(Server, "ask_all", "redis", lambda arguments: ((list_of := list(arguments[0]),), len(list_of)))
    counted(SupabaseClient, "call", "supabase", lambda arguments: (arguments, 1))
    return sent


async def test_a_way_back_that_was_kept_costs_what_the_marks_cost_whatever_else_there_is(opened, app, requests):
    world = await opened("CHAT", "redis-hash", "supabase")
    repair = repair_of(world)
    costs = {}
    # In the first round the server learns the scripts.
    for filled, sessions, written in ((0, 10, 5), (10, 20, 5), (20, 200, 5), (200, 200, 10)):
        fill_chat(app, sessions, first=filled)
        await moved(world, backfill_chat, verify_chat, repair)
        for number in range(written):
            message = NewMessage("user", f"at complete, of {sessions}")
            await world.write(world.new, AppendMessages(user_id="u", session_id=f"s{number}", messages=(message,)))
        requests.update(redis=0, supabase=0)
        report = await repair()
        assert report.merged == written
        costs[sessions, written] = dict(requests)
        assert await states_of(world.old) == await states_of(world.new)
    for server in requests:
        assert costs[200, 5][server] == costs[20, 5][server] > 0
        assert costs[200, 10][server] <= 2 * costs[200, 5][server]
        assert costs[200, 10][server] < 60

"""What another program writes to Redis is noticed and repaired; what we write ourselves is not taken for it."""

import asyncio
import json
import random
from datetime import timedelta

import pytest

from chatstore.chroma import ChromaClient, ChromaDocuments
from chatstore.models import (
    AppendMessages,
    CreateSession,
    DeleteDocuments,
    Embedding,
    Kind,
    NewDocument,
    NewMessage,
    Side,
    Stage,
    UpsertDocuments,
    utc_now,
)
from chatstore.redis import chat_layout, document_layout, foreign_documents, foreign_sessions
from chatstore.redis.notifications import SETTING, listening
from chatstore.routing import ChatRouter, Sides, StageResolver, chat_repairer, document_repairer
from chatstore.supabase import ServiceClient, SupabaseChat
from chatstore.testing import MemoryChat, MemoryDocuments
from tests.conformance.factories.chroma import new_database
from tests.flags import Flags
from tests.redis.conftest import UPDATED
from tests.redis.convergence import write_on_both
from tests.redis.notifications.watching import SOON, watching
from tests.routing.pair import contents, verified


async def test_none_of_our_own_writes_of_sessions_is_taken_for_another_programs(client, chat, app, sessions):
    await write_on_both(random.Random(7), chat, MemoryChat(Side.NEW), 400)
    await chat.write(CreateSession(user_id="ann", session_id="short", expires_at=utc_now() + timedelta(hours=1)))
    await app.session("theirs", "bob")
    assert await sessions.next() == ("bob", "theirs")
    assert sessions.none_is_left


async def test_none_of_our_own_writes_of_documents_is_taken_for_another_programs(client, documents, app):
    rng, memory = random.Random(8), MemoryDocuments(Side.NEW)
    async with watching(foreign_documents, client, document_layout("hash")) as watched:
        for step in range(200):
            names = rng.sample("abcdef", rng.randint(1, 3))
            new = tuple(NewDocument(id=name, text=f"at {step}", embedding=Embedding.of([1.0])) for name in names)
            deletion = DeleteDocuments(user_id="ann", ids=tuple(names))
            side = rng.choice([documents, memory])
            written = await side.write(rng.choice([UpsertDocuments(user_id="ann", documents=new), deletion]))
            await (memory if side is documents else documents).put(written.changes)
        await app.document("theirs", "bob")
        assert await watched.next() == ("bob", "theirs")
        assert watched.none_is_left


@pytest.fixture
async def sides(chat, settings):
    supabase = ServiceClient.connect(settings.supabase_url, settings.supabase_secret_key)
    both = Sides(chat, SupabaseChat(supabase))
    await verified(both)
    yield both
    await both.new.journal.forget_state()
    await supabase.close()


async def test_what_another_program_writes_beside_dual_writes_arrives(client, app, sides, sessions, namespace):
    stages = StageResolver(Kind.CHAT, [sides[side].journal for side in Side], client=Flags(Stage.DUALWRITE).client)
    router = ChatRouter(sides, stages)
    ours = await router.create_session(namespace)
    await router.append(namespace, ours.id, NewMessage("user", "ours"))
    await router.replicator.drain()

    theirs = f"{namespace}-theirs"
    await app.message(theirs, ours.id, content="theirs")
    await client.hset(f"session:{ours.id}", "messageIds", json.dumps([*await app.ids(ours.id), theirs]))
    assert await sessions.next() == (namespace, ours.id)
    await app.conversation(f"{namespace}-new", 2, user=namespace)
    assert await sessions.next() == (namespace, f"{namespace}-new")
    await chat_repairer(sides).run()
    assert await contents(sides.new, namespace, ours.id) == ["ours", "theirs"]
    assert await contents(sides.new, namespace, f"{namespace}-new") == ["0", "1"]

    await client.hset(f"session:{ours.id}", "messageIds", json.dumps((await app.ids(ours.id))[:1]))
    await client.delete(f"message:{theirs}")
    await client.hset(f"session:{namespace}-new", mapping={"title": "renamed", "updatedAt": UPDATED + 1})
    assert {await sessions.next(), await sessions.next()} == {(namespace, ours.id), (namespace, f"{namespace}-new")}
    await chat_repairer(sides).run()
    for side in (sides.old, sides.new):
        assert await contents(side, namespace, ours.id) == ["ours"]
        assert (await side.get_session(namespace, f"{namespace}-new")).title == "renamed"
    assert sessions.none_is_left
    await router.replicator.close()


@pytest.mark.parametrize("count", [0, 2])
async def test_a_session_that_another_program_deletes_comes_back(client, sides, sessions, namespace, count):
    session = CreateSession(user_id=namespace, session_id=namespace)
    messages = tuple(NewMessage("user", str(number)) for number in range(count))
    for written in (
        await sides.old.write(session),
        await sides.old.write(AppendMessages(user_id=namespace, session_id=namespace, messages=messages)),
    ):
        await sides.new.put([written.change] if written.change else [])
    await client.delete(f"session:{namespace}")
    assert await sessions.next() == (namespace, namespace)
    await chat_repairer(sides).run()
    assert await contents(sides.old, namespace, namespace) == [message.content for message in messages]
    assert sessions.none_is_left


async def test_documents_that_another_program_writes_arrive(client, documents, app, chroma_url):
    database = new_database(chroma_url)
    async with (
        ChromaClient.server(chroma_url, database=database) as chroma,
        watching(foreign_documents, client, document_layout("hash")) as watched,
    ):
        sides = Sides(documents, ChromaDocuments(chroma))
        for content, updated in (("first", 1_700_000_100_000), ("second", 1_700_000_200_000)):
            await app.document("theirs", "bob", content=content, updatedAt=updated)
            assert await watched.next() == ("bob", "theirs")
            await document_repairer(sides).run()
            assert (await sides.new.get("bob", "theirs")).text == content
        ours = NewDocument(id="ours", text="t", embedding=Embedding.of([1.0, 2.0]))
        await sides.new.put((await documents.write(UpsertDocuments(user_id="bob", documents=(ours,)))).changes)
        await client.delete("document:ours")
        assert await watched.next() == ("bob", "ours")
        await document_repairer(sides).run()
        assert (await sides.old.get("bob", "ours")).text == "t", "it deleted for nobody"
        assert watched.none_is_left


async def test_what_the_server_lets_expire_is_no_difference(client, chat, app, sessions):
    async with listening(client, [b"session:"], enable=False) as listener:
        await client.config_set(SETTING, "Kghx")
        await chat.write(
            CreateSession(user_id="ann", session_id="short", expires_at=utc_now() + timedelta(seconds=0.2))
        )
        async with asyncio.timeout(SOON):
            while (event := await listener.event(1.0)) is None or event.what != b"expired":
                pass
    await app.session("theirs", "bob")
    assert await sessions.next() == ("bob", "theirs")
    assert sessions.none_is_left


async def test_what_is_nobodys_is_passed_over(client, app, sessions):
    await client.set("session:of-the-web-framework", "a string")
    await client.hset("session:nobody", "title", "no user")
    await client.hset(b"session:\xff", "userId", "ann")
    await client.delete("session:nobody")
    await app.session("theirs", "bob", createdAt="unreadable")
    assert await sessions.next() == ("bob", "theirs")
    assert sessions.none_is_left


async def test_nothing_is_marked_before_a_migration_begins(client, app):
    async with watching(foreign_sessions, client, chat_layout("hash"), open_journal=False) as sessions:
        looked = asyncio.Event()
        state = sessions.watch._journal.state

        async def seen():
            found = await state()
            looked.set()
            return found

        sessions.watch._journal.state = seen
        await app.session("early")
        async with asyncio.timeout(SOON):
            await looked.wait()
        await sessions.watch._journal.remember(journal_open=True)
        await app.session("later")
        assert await sessions.next() == ("ann", "later")
        assert sessions.none_is_left

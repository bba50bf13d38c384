"""An app, as the README says: opened from the settings, or with the clients that it has."""

import asyncio
import json
import subprocess
import sys
import time

import chromadb
import httpx
import pytest
from redis.asyncio import Redis
from supabase import AsyncClientOptions, acreate_client

import chatstore
from chatstore.models import Kind, Stage, new_id, utc_now
from chatstore.routing import FLAGS, ChatRouter, chat_repairer, document_repairer
from chatstore.settings import load_settings
from tests.flags import Flags


async def embed(texts):
    await asyncio.sleep(0)
    return [chatstore.Embedding.of([len(text), text.count("e") + 1]) for text in texts]


@pytest.fixture
def app_settings(redis_database, settings):
    """Settings of an app over the test stack, with a Redis database of its own."""
    return load_settings(
        redis_url=redis_database,
        supabase_url=settings.supabase_url,
        supabase_secret_key=settings.supabase_secret_key,
        chroma_url=settings.chroma_url,
    )


async def verified(stores):
    for store in (stores.chat, stores.documents):
        for side in (store.sides.old, store.sides.new):
            await side.journal.remember(verified_at=utc_now(), journal_open=True)


@pytest.mark.parametrize("stage", list(Stage))
async def test_an_app_works_at_every_stage(app_settings, stage):
    user = new_id()
    async with chatstore.open(app_settings, embedder=embed, inline=True) as stores:
        await verified(stores)
        for store in (stores.chat, stores.documents):
            store.stages._client = Flags(stage).client
        session = await stores.chat.create_session(user, title="Tea")
        await stores.chat.append(user, session.id, chatstore.NewMessage("user", "How is tea made?"))
        [message] = await stores.chat.last_messages(user, session.id, 50)
        assert message.content == "How is tea made?"
        await stores.documents.upsert(user, chatstore.NewDocument("Green tea is steamed.", title="Tea"))
        [match] = await stores.documents.search(user, "Green tea was steamed")
        assert match.document.title == "Tea"
        await stores.chat.delete_session(user, session.id)
        assert (await stores.chat.list_sessions(user)).items == ()
        assert (await chat_repairer(stores.chat.sides).run()).quarantined == 0
        assert (await document_repairer(stores.documents.sides).run()).quarantined == 0


async def test_a_list_goes_on_after_a_flip(app_settings):
    user = new_id()
    async with chatstore.open(app_settings, embedder=embed, inline=True) as stores:
        await verified(stores)
        flags = Flags(Stage.DUALWRITE)
        for store in (stores.chat, stores.documents):
            store.stages._client = flags.client
        sessions = [(await stores.chat.create_session(user)).id for _ in range(3)]
        documents = [(await stores.documents.upsert(user, chatstore.NewDocument(str(i))))[0].id for i in range(3)]
        chat_page = await stores.chat.list_sessions(user, limit=2)
        document_page = await stores.documents.list_documents(user, limit=2)
        flags.set(Stage.LIVE)
        chat_rest = await stores.chat.list_sessions(user, after=chat_page.next)
        document_rest = await stores.documents.list_documents(user, after=document_page.next)
    assert [item.id for item in (*chat_page.items, *chat_rest.items)] == sessions[::-1]
    assert [item.id for item in (*document_page.items, *document_rest.items)] == documents[::-1]


async def test_an_app_may_bring_its_own_clients(redis_database, settings):
    user = new_id()
    redis = Redis.from_url(redis_database, decode_responses=True)
    requests = httpx.AsyncClient()
    options = AsyncClientOptions(httpx_client=requests)
    supabase = await acreate_client(settings.supabase_url, settings.supabase_secret_key, options)
    chroma = await asyncio.to_thread(chromadb.HttpClient, settings.chroma_url)
    async with chatstore.open(load_settings(), redis=redis, supabase=supabase, chroma=chroma, embedder=embed) as stores:
        session = await stores.chat.create_session(user)
        await stores.documents.upsert(user, chatstore.NewDocument("text"))
    assert await redis.hget(f"session:{session.id}", "userId") == user
    await requests.aclose()
    await redis.aclose()


async def test_with_redis_alone_the_app_has_its_redis_and_nothing_else(redis_database):
    async with chatstore.open(load_settings(redis_url=redis_database)) as stores:
        assert not isinstance(stores.chat, ChatRouter)
        session = await stores.chat.create_session("u")
        assert await stores.chat.get_session("u", session.id) == session


def test_blocking_callers_have_the_same(app_settings):
    user = new_id()
    with chatstore.open_blocking(app_settings, embedder=embed) as stores:
        session = stores.chat.create_session(user)
        stores.chat.append(user, session.id, chatstore.NewMessage("user", "hello"))
        assert [message.content for message in stores.chat.messages(user, session.id)] == ["hello"]
        stores.documents.upsert(user, chatstore.NewDocument("text"))
        assert len(stores.documents.search(user, "text")) == 1


async def test_a_flag_file_moves_the_app_while_it_runs(app_settings, tmp_path):
    flags = tmp_path / "flags.json"

    def write(stage):
        flag = {"state": "ENABLED", "variants": {str(s): str(s) for s in Stage}, "defaultVariant": str(stage)}
        temporary = tmp_path / "new.json"
        temporary.write_text(json.dumps({"flags": {FLAGS[kind]: flag for kind in Kind}}))
        temporary.replace(flags)

    write(Stage.OFF)
    with_flags = app_settings.model_copy(update={"flag_file": flags})
    async with chatstore.open(with_flags, embedder=embed) as stores:
        assert await stores.chat.stages.resolve("u", "s", "append") is Stage.OFF
        await asyncio.to_thread(write, Stage.DUALWRITE)
        deadline = time.monotonic() + 10
        while await stores.chat.stages.resolve("u", "s", "append") is not Stage.DUALWRITE:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


async def test_a_missing_flag_file_is_named(app_settings, tmp_path):
    lost = app_settings.model_copy(update={"flag_file": tmp_path / "lost.json"})
    with pytest.raises(chatstore.ConfigurationError, match="chatstore stage"):
        async with chatstore.open(lost):
            pass


def test_importing_chatstore_imports_no_client_library():
    code = "import chatstore, sys; print([m for m in sys.modules if m in ('redis', 'supabase', 'chromadb', 'numpy')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"

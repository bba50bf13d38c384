"""An app at work, with all libraries at DEBUG: nothing that was planted is logged, or shown by what it is given."""

import asyncio
import dataclasses
import pickle

import httpx
import pytest
from supabase import AsyncClientOptions, acreate_client

import chatstore
from chatstore import models
from chatstore.backends import Backends
from chatstore.errors import ChatStoreError, InvalidRecordError
from chatstore.models import NewDocument, NewMessage, Side, Stage, new_id, utc_now
from chatstore.routing import chat_repairer, document_repairer
from chatstore.settings import load_settings
from chatstore.supabase import ServiceClient, SupabaseChat
from chatstore.workers import Recipe
from tests.flags import Flags


@pytest.fixture
def guarded(canaries, guarded_redis, settings):
    """The settings of an app whose every server wants a password or a key."""
    canaries.plant("secret key", settings.supabase_secret_key)
    canaries.plant("publishable key", settings.supabase_publishable_key)
    canaries.plant("database password", settings.supabase_db_url.split(":")[2].split("@")[0])
    password = canaries.new("chroma password")
    return load_settings(
        redis_url=guarded_redis,
        supabase_url=settings.supabase_url,
        supabase_secret_key=settings.supabase_secret_key,
        supabase_publishable_key=settings.supabase_publishable_key,
        supabase_db_url=settings.supabase_db_url,
        chroma_url=settings.chroma_url.replace("http://", f"http://someone:{password}@"),
    )


@pytest.fixture
async def debugging():
    """asyncio in its debug mode, where whatever takes longer than nothing is logged with its arguments and results."""
    loop = asyncio.get_running_loop()
    slow = loop.slow_callback_duration
    loop.slow_callback_duration = 0
    loop.set_debug(True)
    yield
    loop.set_debug(False)
    loop.slow_callback_duration = slow


async def embed(texts):
    await asyncio.sleep(0)
    return [chatstore.Embedding.of([len(text), 1]) for text in texts]


async def converse(stores, canaries, heard, user):
    """Call whatever an app calls, with canaries in all that is private; what it is given is noted as it shows itself."""
    new = canaries.new
    heard.add("repr", repr(stores))
    session = await stores.chat.create_session(user, title=new("title"), metadata={"a": new("session metadata")})
    heard.add("repr", repr(session))
    heard.add("repr", repr(await stores.chat.update_session(user, session.id, title=new("other title"))))
    message = NewMessage("user", new("content"), metadata={"a": new("metadata")}, extra={"tool": new("extra")})
    [appended] = await stores.chat.append(user, session.id, message)
    await stores.chat.edit_message(user, session.id, appended.id, content=new("edited content"))
    with pytest.raises(ChatStoreError) as raised:
        await stores.chat.append(user, session.id, dataclasses.replace(message, content=new("rival content")))
    heard.error("conflict", raised.value)
    heard.add("repr", repr((message, await stores.chat.last_messages(user, session.id, 9))))
    heard.add("repr", repr(await stores.chat.list_sessions(user)))

    document = NewDocument(
        new("text"), title=new("document title"), url=f"https://{new('url')}", metadata={"a": new("document metadata")}
    )
    heard.add("repr", repr((document, await stores.documents.upsert(user, document))))
    query = new("query")
    found = await stores.documents.search(user, query, where={"a": {"$ne": new("filter value")}})
    assert len(found) == 1
    heard.add("repr", repr((found, await stores.documents.list_documents(user))))
    with pytest.raises(InvalidRecordError) as raised:
        await stores.documents.search(user, query, where={"a": {"$gt": new("wrong filter")}})
    heard.error("filter", raised.value)
    other = NewDocument(new("wrong text"), embedding=chatstore.Embedding.of([1, 2, 3]))
    try:
        await stores.documents.upsert(user, other)
    except ChatStoreError as error:  # of Chroma, where it is first; Redis takes any dimension
        heard.error("dimension", error)
    await stores.chat.pop_message(user, session.id)
    await stores.documents.delete(user, [document.id])
    await stores.chat.delete_session(user, session.id)


@pytest.mark.parametrize("stage", [Stage.LIVE, Stage.COMPLETE])
async def test_an_app_at_work(heard, canaries, guarded, stage):
    await at_work(heard, canaries, guarded, stage)
    assert {"httpx", "httpcore.http11", "redis.connection"} <= {name for name, _ in heard.lines}
    assert heard.leaks(canaries) == []


@pytest.mark.usefixtures("debugging")
async def test_an_app_at_work_while_asyncio_is_debugged(heard, canaries, guarded):
    await at_work(heard, canaries, guarded, Stage.SHADOW)
    assert "asyncio" in {name for name, _ in heard.lines}
    assert heard.leaks(canaries) == []


async def at_work(heard, canaries, guarded, stage):
    async with chatstore.open(guarded, embedder=embed, inline=stage is Stage.LIVE) as stores:
        for store in (stores.chat, stores.documents):
            for side in Side:
                await store.sides[side].journal.remember(verified_at=utc_now(), journal_open=True)
            store.stages._client = Flags(stage).client
        await converse(stores, canaries, heard, new_id())
        for side in Side:
            heard.add("repr", repr((stores.chat.sides[side], vars(stores.chat.sides[side]))))
            heard.add("repr", repr((stores.documents.sides[side], vars(stores.documents.sides[side]))))
        await chat_repairer(stores.chat.sides).run()
        await document_repairer(stores.documents.sides).run()


async def test_a_users_own_token(heard, canaries, guarded, token_for):
    user = new_id()
    token = canaries.plant("token", token_for(user))
    canaries.plant("payload", token.split(".")[1])

    async def token_of(_user):
        await asyncio.sleep(0)
        return token

    async with chatstore.open(guarded, token_of=token_of, repair=False) as stores:
        store = stores.chat.sides.new
        session = await store.create_session(user, title=canaries.new("title"))
        with pytest.raises(ChatStoreError) as raised:
            await store.get_session("another", session.id)
        heard.error("another's", raised.value)
        heard.add("repr", repr((store, vars(store))))
    assert heard.leaks(canaries) == []


async def test_a_client_that_speaks_http_2_logs_no_header(heard, canaries):
    """No server is needed: what is logged is what is sent first."""

    async def hang_up(reader, writer):
        await reader.read(4096)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, httpx.AsyncClient(http1=False, http2=True) as requests:
        key = f"sb_secret_{canaries.new('key')}"
        client = await acreate_client(url, key, AsyncClientOptions(httpx_client=requests))
        with pytest.raises(ChatStoreError) as raised:
            await SupabaseChat(ServiceClient(client)).create_session("user")
        heard.error("http/2", raised.value)
        assert "httpcore.http2" in {name for name, _ in heard.lines}
        assert heard.leaks(canaries) == []


def test_a_recipe_that_travels_without_settings_holds_none_of_them(canaries, guarded):
    backends = Backends(guarded)
    travelling = pickle.dumps(Recipe.from_environment(backends)).decode("latin-1")
    shown = "".join(map(repr, (backends, guarded, Recipe.of(backends), Recipe.from_environment(backends))))
    assert canaries.found_in(travelling + shown + guarded.model_dump_json()) == []


PRIVATE = {"content", "text", "title", "url", "metadata", "extra", "raw", "value", "values"}


def test_no_model_shows_what_is_private():
    """Also one that is added some day: fields of these names are shown by none."""
    shown = {
        f"{model.__name__}.{field.name}"
        for model in vars(models).values()
        if dataclasses.is_dataclass(model)
        for field in dataclasses.fields(model)
        if field.name in PRIVATE and field.repr and model.__repr__ is not models.Embedding.__repr__
    }
    assert shown == set()

"""What goes wrong is told without what was sent, what was found, and what opens the servers."""

import asyncio
from contextlib import asynccontextmanager

import pytest

import chatstore
from chatstore.chroma import ChromaClient, ChromaDocuments
from chatstore.errors import ChatStoreError, ConfigurationError, InvalidRecordError, UnavailableError
from chatstore.models import NewDocument, NewMessage, new_id
from chatstore.redis import RedisChat, RedisDocuments, chat_layout, connect, document_layout
from chatstore.redis.client import our_error
from chatstore.settings import load_settings
from chatstore.supabase import ServiceClient, SupabaseChat, SupabaseDatabase, apply_schema

NOBODY = "127.0.0.1:1"


@asynccontextmanager
async def told(heard, *, by=ChatStoreError):
    """What is inside fails, and what it tells is noted."""
    with pytest.raises(by) as raised:
        yield raised
    heard.error(type(raised.value).__name__, raised.value)


@asynccontextmanager
async def echo(status):
    """A server that answers each request with an error that quotes all of it, as a proxy's page may."""

    async def serve(reader, writer):
        request = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in request.lower().split(b"\r\n") if line.startswith(b"content-length")),
            0,
        )
        body = request + await reader.readexactly(length)
        writer.write(
            b"HTTP/1.1 %d Said\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            % (status, len(body))
            + body
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_an_answer_that_quotes_the_request(heard, canaries, status):
    user, key, password = new_id(), canaries.new("key"), canaries.new("password")
    async with echo(status) as url:
        client = ServiceClient.connect(url, f"sb_secret_{key}")
        client._schema._passed = True
        chat = SupabaseChat(client)
        async with told(heard):
            await chat.create_session(user, title=canaries.new("title"))
        async with told(heard):
            await chat.append(user, "s", NewMessage("user", canaries.new("content")))
        await client.close()
        chroma = ChromaClient.server(url.replace("http://", f"http://me:{password}@"), headers={"X-Token": key})
        async with told(heard):
            await ChromaDocuments(chroma).upsert(
                user, NewDocument(canaries.new("text"), embedding=chatstore.Embedding.of([1]))
            )
        await chroma.close()
    assert heard.leaks(canaries) == []


@pytest.mark.parametrize("ending", [" ", "\n", "\t", "\x00", "é"])
async def test_a_key_that_cannot_be_sent(heard, canaries, chroma_url, ending):
    key = canaries.new("key") + ending
    async with told(heard):
        chat = SupabaseChat(ServiceClient.connect(f"http://{NOBODY}", f"sb_secret_{key}"))
        await chat.create_session("user")
    async with told(heard, by=ConfigurationError):
        ChromaClient.server(chroma_url, headers={"Authorization": key})
    async with told(heard, by=ConfigurationError):
        ChromaClient.cloud(key)
    assert heard.leaks(canaries) == []


@pytest.mark.parametrize("between", ["@", "/", "#", "?", "[", "%zz", ":", " ", "\uff0f", "\\", "'", '"'])
async def test_a_password_that_is_not_escaped(heard, canaries, between):
    password = canaries.new("first half") + between + canaries.new("second half")
    address = f"user:{password}@{NOBODY}"
    for attempt in (
        lambda url: load_settings(redis_url=f"redis://{url}/0"),
        lambda url: load_settings(
            supabase_db_url=f"postgresql://{url}/db", chroma_url=f"http://{url}", supabase_url=f"http://{url}"
        ),
        lambda url: _ask_redis(f"redis://{url}/0"),
        lambda url: _ask_redis(f"redis+sentinel://{url}/service/0"),
        lambda url: _ask_redis(f"redis+cluster://{url}"),
        lambda url: _ask_chroma(f"http://{url}"),
        lambda url: _ask_supabase(f"http://{url}"),
        lambda url: _ask_database(f"postgresql://{url}/db"),
        lambda url: apply_schema(f"postgresql://{url}/db"),
    ):
        try:
            outcome = attempt(address)
            if asyncio.iscoroutine(outcome):
                await outcome
            else:
                heard.add("settings", repr(outcome))
        except ChatStoreError as error:
            heard.error(type(error).__name__, error)
    assert heard.leaks(canaries) == []


async def _ask_redis(url):
    client = connect(url, timeout=1.0)
    try:
        await client.ask("PING")
    finally:
        await client.aclose()


async def _ask_chroma(url):
    client = ChromaClient.server(url, timeout=1.0)
    try:
        await client.call("list_collections")
    finally:
        await client.close()


async def _ask_supabase(url):
    client = ServiceClient.connect(url, "sb_secret_x", timeout=1.0)
    try:
        await client.schema_version()
    finally:
        await client.close()


async def _ask_database(url):
    api = ServiceClient.connect(f"http://{NOBODY}", "sb_secret_x", timeout=1.0)
    database = SupabaseDatabase(url, api)
    try:
        await database.call("anything")
    finally:
        await database.close()
        await api.close()


async def test_wrong_passwords(heard, canaries, guarded_redis, settings):
    wrong = canaries.new("wrong password")
    async with told(heard, by=ConfigurationError):
        await _ask_redis(guarded_redis.replace(canaries.planted["redis password"], wrong))
    database = settings.supabase_db_url
    password = canaries.plant("database password", database.split(":")[2].split("@")[0])
    async with told(heard, by=ConfigurationError):
        await _ask_database(database.replace(password, wrong))
    async with told(heard):
        apply_schema(database.replace(password, wrong))
    api = ServiceClient.connect(settings.supabase_url, f"sb_secret_{wrong}")
    async with told(heard, by=ConfigurationError):
        await SupabaseChat(api).create_session("user")
    await api.close()
    assert heard.leaks(canaries) == []


async def test_what_a_server_does_not_know_of_a_command(heard, canaries, redis_database):
    client = connect(redis_database)
    async with told(heard, by=UnavailableError) as raised:
        await client.ask("JSON.SETTLE", "key", "$", canaries.new("content"))
    assert "unknown command 'JSON.SETTLE'" in str(raised.value)
    [error] = await client.ask_all([["JSON.SETTLE", "key", "$", canaries.new("other content")]])
    heard.error("pipeline", our_error(error, client))
    await client.aclose()
    assert heard.leaks(canaries) == []


SESSION = {
    "userId": "u",
    "title": "t",
    "messageIds": '["m"]',
    "createdAt": "1700000000000",
    "updatedAt": "1700000000000",
    "metadata": "{}",
}
MESSAGE = {"sessionId": "s", "role": "user", "content": "c", "metadata": "{}", "createdAt": "1700000000000"}
DOCUMENT = {
    "title": "t",
    "content": "c",
    "url": "u",
    "userId": "u",
    "embedding": "[1.0]",
    "metadata": "{}",
    "createdAt": "1700000000000",
    "updatedAt": "1700000000000",
}
BAD = ["{}", '"{}"', "[{}", '{{"a": "{}"', "{}\udcff", '["{}"]', '[1, "{}"]', "1{}", "NaN{}"]


@pytest.mark.parametrize("bad", BAD)
async def test_bad_data(heard, canaries, redis_database, bad):
    client = connect(redis_database)
    chat, documents = RedisChat(client, chat_layout("hash")), RedisDocuments(client, document_layout("hash"))
    for place, record in (("session:s", SESSION), ("message:m", MESSAGE), ("document:d", DOCUMENT)):
        for field in record:
            if field in {"userId", "sessionId", "role", "messageIds"} and bad == "{}":
                continue
            text = bad.format(canaries.new(f"{field[:4]} of {place}"))
            for key, fields in (("session:s", SESSION), ("message:m", MESSAGE), ("document:d", DOCUMENT)):
                given = fields | ({field: text} if key == place else {})
                await client.ask("DEL", key)
                await client.ask(
                    "HSET", key, *(part.encode(errors="surrogateescape") for pair in given.items() for part in pair)
                )
            for attempt in (
                chat.get_session("u", "s"),
                chat.messages("u", "s"),
                chat.list_sessions("u"),
                documents.get("u", "d"),
                documents.list_documents("u"),
            ):
                try:
                    heard.add("read", repr(await attempt))
                except ChatStoreError as error:
                    heard.error(type(error).__name__, error)
            for side in (chat, documents):
                async for page in side.scan():
                    heard.add("scan", repr(page))
    await client.aclose()
    # Ids, whose a record is, and who speaks are told: they are what it is found by.
    told = {name for name in canaries.planted if name.startswith(("user", "sess", "mess", "role"))}
    assert heard.leaks(canaries, but=told) == []


@pytest.mark.parametrize(
    "where", [{"k": {"$gt": "{}"}}, {"k": {"$in": "{}"}}, {"k": ["{}"]}, {"$or": ["{}"]}, {"k": {"$in": [["{}"]]}}]
)
async def test_a_filter_that_cannot_be_one(heard, canaries, chroma_url, where):
    text = canaries.new("value")

    def filled(part):
        if isinstance(part, dict):
            return {name: filled(value) for name, value in part.items()}
        return [filled(value) for value in part] if isinstance(part, list) else part.format(text)

    client = ChromaClient.server(chroma_url)
    async with told(heard, by=InvalidRecordError):
        await ChromaDocuments(client).search_by_embedding("user", chatstore.Embedding.of([1]), k=1, where=filled(where))
    await client.close()
    assert heard.leaks(canaries) == []


@pytest.mark.parametrize("what", ["\ud800", "\x00", float("nan"), b"bytes", {1, 2}, {1: 2}, 10**400], ids=ascii)
async def test_a_value_that_no_side_can_hold(heard, canaries, redis_database, chroma_url, what):
    def odd(name):
        text = canaries.new(name)
        return f"{text}{what}" if isinstance(what, str) else {"a": [text, what]}

    client, server = connect(redis_database), ChromaClient.server(chroma_url)
    chat = RedisChat(client, chat_layout("hash"))
    session = await chat.create_session("user")
    new = SupabaseChat(ServiceClient.connect(f"http://{NOBODY}", "sb_secret_x"))
    document = {"embedding": chatstore.Embedding.of([1]), "metadata": {"a": odd("document metadata")}}
    for attempt in (
        lambda: chat.create_session("user", title=odd("title"), metadata={"a": odd("metadata")}),
        lambda: chat.append("user", session.id, NewMessage("user", odd("content"))),
        lambda: chat.append("user", session.id, NewMessage("user", "text", extra={"a": odd("extra")})),
        lambda: new.append(
            "user", "s", NewMessage("user", odd("content there"), metadata={"a": odd("metadata there")})
        ),
        lambda: RedisDocuments(client, document_layout("hash")).upsert("user", NewDocument("text", **document)),
        lambda: ChromaDocuments(server).upsert("user", NewDocument(odd("text"), **document)),
    ):
        try:
            await attempt()
        except ChatStoreError as error:
            heard.error(type(error).__name__, error)
    await client.aclose()
    await server.close()
    assert heard.leaks(canaries) == []

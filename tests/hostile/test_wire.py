"""What goes over the wire: text of users is in bodies and arguments alone, whatever characters are in it.

Everything that the stores are asked for is asked with ids, texts, metadata and filters in which every character is that means
something to one of the servers; what they then send is looked at.
"""

import json
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

import httpx
import pytest
import redis

from chatstore.errors import NotFoundError
from chatstore.interfaces import ChatHistoryStore, DocumentStore
from chatstore.local import StackSettings
from chatstore.models import DocumentKey, Embedding, NewDocument, NewMessage
from chatstore.redis import RedisChat, RedisDocuments, chat_layout, connect, document_layout

USER, DATA = "zqxuserqxz", "zqxdataqxz"
"""What every user's id, and every other text, has in it, so that it is found however it is escaped."""
HOSTILE = ",.()\"\\%*?[]{}:'$&=#/;^-|<>!@~`+\r\n\t\u2028\U0001f98a"
EAST = Embedding.of([1, 0])
FUNCTION = re.compile(r"/rest/v1/rpc/chatstore_[a-z_]+")
COLLECTION = re.compile(r"[A-Za-z0-9._-]+")


@pytest.fixture
def user(namespace):
    return f"{namespace}{USER}{HOSTILE}"


@pytest.fixture
def text(namespace):
    return f"{namespace}{DATA}{HOSTILE}"


@pytest.fixture
def requests(monkeypatch):
    """Each HTTP request that this process sends from now on."""
    sent = []
    send, send_async = httpx.Client.send, httpx.AsyncClient.send

    def recorded(self, request, **kwargs):
        sent.append(request)
        return send(self, request, **kwargs)

    async def recorded_async(self, request, **kwargs):
        sent.append(request)
        return await send_async(self, request, **kwargs)

    monkeypatch.setattr(httpx.Client, "send", recorded)
    monkeypatch.setattr(httpx.AsyncClient, "send", recorded_async)
    return sent


class Monitor:
    """What a Redis server is told, by whomever."""

    def __init__(self, url):
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=60)
        self._file = self._socket.makefile("rb")
        self._socket.sendall(b"MONITOR\r\n")
        assert self._file.readline() == b"+OK\r\n"

    def commands(self, client):
        """Return all that was told until now: the arguments of each command, as they came."""
        client.echo("the end")
        found = []
        while (command := self._next()) != [b"ECHO", b"the end"]:
            found.append(command)
        return found

    def _next(self):
        arguments = re.findall(rb'"((?:[^"\\]|\\.)*)"', self._file.readline().partition(b"] ")[2])
        return [
            argument.decode("latin-1").encode().decode("unicode_escape").encode("latin-1") for argument in arguments
        ]

    def close(self):
        self._file.close()
        self._socket.close()


@pytest.fixture
def monitor(stack):
    """What the tests' Redis is told from now on. It knows no script any more, so that each is sent to it again."""
    url = stack.redis.database_url(0)
    with redis.Redis.from_url(url) as client:
        client.script_flush()
        watching = Monitor(url)
        yield lambda: watching.commands(client)
        watching.close()


@dataclass
class Sent:
    """What is sent from now on, to the HTTP servers at these addresses and to Redis."""

    requests: list
    settings: StackSettings
    commands: Callable


@pytest.fixture
def sent(requests, settings, monitor):
    return Sent(requests, settings, monitor)


async def ask_all_of_chat(chat, user, text):
    """Call each method of a store of chats."""
    new = NewMessage(text, text, id=text, metadata={text: [text, {text: text}]}, extra={text: text})
    await chat.create_session(user, session_id=text, title=text, metadata={text: text})
    await chat.update_session(user, text, title=text + text, metadata={text: {"a": text}})
    await chat.append(user, text, [new, NewMessage("user", text)])
    await chat.edit_message(user, text, text, content=text, metadata={text: text})
    [message, *_] = await chat.messages(user, text)
    assert (message.id, message.role, message.content) == (text, text, text)
    await chat.messages(user, text, after=(-1, text), limit=5)
    await chat.last_messages(user, text, 5, before=(2**40, text))
    assert await chat.count_messages(user, text) == 2
    assert (await chat.get_session(user, text)).title == text + text
    assert [one.id for one in (await chat.list_sessions(user)).items] == [text]
    await chat.list_sessions(user, after=f"5:{text}")
    for missing in (lambda: chat.get_session(user, text * 2), lambda: chat.get_session(text, text)):
        with pytest.raises(NotFoundError):
            await missing()
    await chat.pop_message(user, text)
    assert await chat.delete_messages(user, text, [text, text * 2]) == 1
    # The id of a message that was deleted is not given again.
    await chat.replace_messages(user, text, [replace(new, id=f"{text}2")])
    await chat.clear_messages(user, text)
    await chat.append(user, text, replace(new, id=f"{text}3"))


async def ask_all_of_documents(documents, user, text):
    """Call each method of a store of documents."""
    new = NewDocument(text, id=text, embedding=EAST, title=text, url=text, metadata={text: text}, extra={text: text})
    await documents.upsert(user, [new, NewDocument("other", embedding=EAST)])
    assert (await documents.get(user, text)).metadata == {text: text}
    where = {
        "$or": [
            {text: text},
            {text: {"$in": [text, 5]}},
            {"$and": [{"title": {"$ne": text}}, {text: {"$nin": [text]}}]},
        ]
    }
    assert [document.id for document in await documents.get_many(user, [text, f"{text}?"])] == [text]
    assert [document.id for document in await documents.get_each(user, [text])] == [text]
    assert text in {match.document.id for match in await documents.search(user, EAST, where=where)}
    assert await documents.search(user, EAST, where={text: {"$ne": text}, "title": text}) == []
    await documents.list_documents(user)
    await documents.list_documents(user, after=f"5:{text}")
    assert await documents.count_documents(user) == 2
    with pytest.raises(NotFoundError):
        await documents.get(text, text)


def check_requests(requests, settings):
    """Look at each request to Supabase and Chroma."""
    supabase, chroma = [
        [one for one in requests if str(one.url).startswith(url)]
        for url in (settings.supabase_url, settings.chroma_url)
    ]
    assert len(supabase) + len(chroma) == len(requests), "another server is asked"
    for request in requests:
        address = unquote(str(request.url))
        assert DATA not in address
        assert DATA not in str(request.headers)
        if request.content:
            json.loads(request.content)
    for request in supabase:
        assert USER not in str(request.url)
        assert FUNCTION.fullmatch(request.url.path)
        assert (request.method, request.url.query) == ("POST", b"")
    for request in chroma:
        assert all(
            COLLECTION.fullmatch(part) for part in request.url.raw_path.decode().partition("?")[0][1:].split("/")
        )
        assert USER not in request.url.query.decode()
        # A name in a path is one that we made of the user's id.
        for part in request.url.path.split("/"):
            assert USER not in part or part.startswith("user_docs_")
    return supabase, chroma


def check_commands(commands):
    """Look at each command to Redis, those of scripts among them."""
    names = {command[0].upper() for command in commands}
    assert not names & {b"KEYS", b"SORT", b"EVAL", b"FUNCTION", b"CONFIG", b"FLUSHDB", b"FLUSHALL"}
    for command in commands:
        upper = [argument.upper() for argument in command]
        assert DATA.encode() not in command[0]
        if b"MATCH" in upper and b"SCAN" in upper[0]:
            pattern = command[upper.index(b"MATCH") + 1]
            assert DATA.encode() not in pattern
            assert USER.encode() not in pattern
        if upper[:2] == [b"SCRIPT", b"LOAD"]:
            assert DATA.encode() not in command[2]
            assert USER.encode() not in command[2]
    assert {b"EVALSHA", b"SCRIPT"} <= names
    assert any(DATA.encode() in argument for command in commands for argument in command), "nothing was looked at"


async def test_chats(chats, sent, user, text):
    chat = chats["router"]
    await ask_all_of_chat(chat, user, text)
    for side in (chat.sides.old, chat.sides.new):
        assert [one async for page in side.fetch([text, text * 2]) for one in page.changes]
        assert {one async for page in side.held_by(user) for one in page} == {text}
        await side.fingerprints([text])
        await side.journal.marks_of(user, [text])
        assert [one async for page in side.scan() for one in page.changes]
    assert await chat.delete_session(user, text)
    supabase, chroma = check_requests(sent.requests, sent.settings)
    bodies = b"".join(request.content for request in supabase).decode()
    assert len(supabase) > 10
    assert chroma == []
    assert DATA in bodies
    assert USER in bodies
    check_commands(sent.commands())


async def test_documents(document_stores, sent, user, text):
    for name in ("router", "chroma-shared"):
        documents = document_stores[name]
        await ask_all_of_documents(documents, user, text)
        sides = [documents] if name == "chroma-shared" else [documents.sides.old, documents.sides.new]
        for side in sides:
            assert (await side.changes([DocumentKey(user, text)])).changes
            assert [one async for page in side.held_by(user) for one in page]
            assert await side.held([DocumentKey(user, text)])
            await side.finds(await side.get(user, text))
            await side.journal.marks_of(user, [text])
            assert [one async for page in side.scan() for one in page.changes]
        assert await documents.delete(user, [text, text * 2]) == 1
    supabase, chroma = check_requests(sent.requests, sent.settings)
    assert supabase == []
    assert len(chroma) > 10
    assert DATA in b"".join(request.content for request in chroma).decode()
    check_commands(sent.commands())


def test_every_method_of_the_stores_is_called():
    called = {name for ask in (ask_all_of_chat, ask_all_of_documents) for name in ask.__code__.co_names} | {
        *test_chats.__code__.co_names,
        *test_documents.__code__.co_names,
    }
    called |= {"write", "search_by_embedding", "for_user", "close"}  # by the others, or no requests
    for store in (ChatHistoryStore, DocumentStore):
        assert {name for name in vars(store) if not name.startswith("_") and callable(vars(store)[name])} <= called


async def test_a_shared_collection_is_asked_for_the_user_first(document_stores, requests, user, text):
    documents = document_stores["chroma-shared"]
    await documents.upsert(user, NewDocument("x", id=text, embedding=EAST))
    requests.clear()
    for where in (
        {"user_id": text},
        {"$or": [{"user_id": text}, {"a": {"$ne": user}}]},
        {"$and": [{"$or": [{"a": 1}]}]},
    ):
        await documents.search(user, EAST, where=where)
    queries = [json.loads(request.content) for request in requests if request.url.path.endswith("/query")]
    assert len(queries) == 3
    for query in queries:
        [scope, _] = query["where"]["$and"]
        assert list(scope.values()) in ([user], [{"$eq": user}])


async def test_a_prefix_is_a_pattern_of_itself_alone(redis_database, monitor):
    prefix = "a*b?[c]\\^-{d}:"
    async with connect(redis_database) as client:
        for store in (
            RedisChat(client, chat_layout("hash", prefix=prefix)),
            RedisDocuments(client, document_layout("hash", prefix=prefix)),
        ):
            assert [one async for page in store.scan() for one in page.changes] == []
    patterns = {command[3] for command in monitor() if command[0] == b"SCAN" and command[3].startswith(b"a")}
    assert patterns == {rb"a\*b\?\[c\]\\\^\-{d}:*"}

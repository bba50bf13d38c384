"""Every framework's data is recognised by what it is, counted, and read as a migration would read it."""

import json

import pytest
import redis

from chatstore.models import AppendMessages, CreateSession, Embedding, Kind, NewDocument, NewMessage, UpsertDocuments
from chatstore.redis import RedisChat, RedisDocuments, chat_layout, connect, document_layout
from chatstore.redis.inspection import Count, Options, inspect
from tests.frameworks import dumps
from tests.redis.inspection.conftest import MODULES, READER

# Of each dump: the layout, its prefix, its index, and how many sessions, messages and documents are in it.
CHATS = {
    "langchain-chat": ("langchain", "message_store:", "", 2, 12),
    "langchain-old-chat": ("langchain", "message_store:", "", 2, 12),
    "langchain-js-chat": ("langchain-js", "", "", 2, 11),
    "langchain-redis-chat": ("langchain-redis", "chat:", "", 2, 8),
    "langchain-redis-old-chat": ("langchain-redis", "chat:", "", 2, 12),
    "langchain-redis-chat-unreadable": ("langchain-redis", "chat:", "", 2, 6),
    "llamaindex-chat": ("llamaindex", "", "", 2, 11),
    "llamaindex-old-chat": ("llamaindex", "", "", 2, 7),
    "openai-agents-chat": ("openai-agents", "agents:session:", "", 2, 11),
    "agent-framework-chat": ("agent-framework", "chat_messages", "", 3, 10),
    "agent-framework-old-chat": ("agent-framework", "chat_messages", "", 2, 8),
    "redisvl-chat": ("redisvl", "chat:", "", 2, 7),
    "redisvl-chat-semantic": ("redisvl", "chat:", "", 2, 6),
    "redisvl-old-chat": ("redisvl", "chat:", "", 2, 7),
    "vercel-kv-chat": ("vercel-kv", "chat:", "", 2, 6),
}
DOCUMENTS = {
    "langchain-documents": [("langchain", "doc:tea:", "tea")],
    "langchain-documents-schema": [("langchain", "app:docs:", "tea")],
    "langchain-redis-documents-hash": [("langchain-redis", "tea:", "tea")],
    "langchain-redis-documents-json": [("langchain-redis", "tea:", "tea")],
    "langchain-js-documents": [("langchain-js", "doc:tea:", "tea")],
    # Nothing in it tells it from what langchain-community writes, and it is read as well so.
    "langchain-js-documents-fluent": [("langchain", "doc:tea:", "tea")],
    # Older versions left nothing of their own in a document: it is what its index says.
    "langchain-redis-old-documents": [("redisvl", "tea:", "tea")],
    "langchain-js-documents-schema": [("langchain-js", "doc:tea:", "tea")],
    "llamaindex-documents": [("llamaindex", "tea/vector_", "tea")],
    "llamaindex-old-documents": [("llamaindex", "tea/vector_", "tea")],
    "redisvl-documents-hash": [
        ("redisvl", f"tea:hash:{numbers}:", f"tea_hash_{numbers}")
        for numbers in ("bfloat16", "float16", "float32", "float64")
    ],
    "redisvl-documents-json": [
        ("redisvl", f"tea:json:{numbers}:", f"tea_json_{numbers}") for numbers in ("float32", "float64")
    ],
    "vector-sets": [("vector-set", f"tea:{name}", f"tea:{name}") for name in ("binary", "exact", "quantised")],
}


@pytest.fixture
def fill(search_redis):
    def fill(*names):
        with redis.Redis.from_url(search_redis, protocol=2) as client:
            for name in names:
                dumps.load(name).restore(client)
        return search_redis

    return fill


def test_every_dump_is_looked_for():
    assert {path.stem for path in dumps.FOLDER.glob("*.json")} == CHATS.keys() | DOCUMENTS.keys()


@pytest.mark.parametrize("name", CHATS)
async def test_chats_are_recognised_counted_and_read(name, fill, look):
    layout, prefix, index, sessions, messages = CHATS[name]
    found = await look(fill(name))
    [group] = found.groups
    assert (group.kind, group.layout, group.prefix, group.index) == (Kind.CHAT, layout, prefix, index)
    assert (group.sessions, group.messages) == (Count(sessions), Count(messages))
    assert group.is_default
    assert (group.records.read, group.records.messages_read) == (sessions, messages)
    assert group.records.complete
    assert not group.records.quarantined
    assert not found.unclaimed
    assert not found.gaps


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_documents_are_recognised_counted_and_read(name, fill, look):
    found = await look(fill(name))
    assert sorted((group.layout, group.prefix, group.index) for group in found.groups) == DOCUMENTS[name]
    for group in found.groups:
        assert group.documents == Count(3)
        assert group.records.complete
        # One element of each vector set was given attributes that are no JSON.
        assert sum(finding.records.value for finding in group.records.quarantined) == (name == "vector-sets")
        assert set(group.records.dimensions) == {8}
    assert not found.unclaimed
    assert not found.gaps


async def test_three_layouts_under_one_prefix_are_told_apart_by_type_and_shape(fill, look):
    found = await look(fill("langchain-redis-chat", "redisvl-chat", "vercel-kv-chat"))
    assert {group.layout: (group.prefix, group.sessions.value, group.messages.value) for group in found.groups} == {
        name: ("chat:", *CHATS[dump][3:])
        for name, dump in (
            ("langchain-redis", "langchain-redis-chat"),
            ("redisvl", "redisvl-chat"),
            ("vercel-kv", "vercel-kv-chat"),
        )
    }
    assert not found.unclaimed


async def test_a_user_who_may_only_read_sees_as_much(fill, look, reader_of):
    names = ["langchain-chat", "langchain-redis-chat", "openai-agents-chat", "redisvl-documents-json", "vector-sets"]
    url = fill(*names, "langchain-documents")
    seen_by_all = await look(url)
    seen = await look(reader_of(url, *READER, *MODULES, keys="~*"))
    assert seen.gaps == []
    assert [(one.layout, one.prefix, one.sessions, one.messages, one.documents) for one in seen.groups] == [
        (one.layout, one.prefix, one.sessions, one.messages, one.documents) for one in seen_by_all.groups
    ]
    assert [one.records.read for one in seen.groups] == [one.records.read for one in seen_by_all.groups]
    assert [one.records.quarantined for one in seen.groups] == [one.records.quarantined for one in seen_by_all.groups]


async def test_of_two_layouts_that_would_take_the_same_keys_the_likelier_one_is_told_and_why(fill, look):
    [group] = (await look(fill("langchain-chat"))).groups
    [rival] = group.rivals
    assert rival.layout == "langchain-js"
    assert "message_store:" in rival.reason
    assert "with spaces" in rival.reason


async def test_messages_that_the_search_index_does_not_know_are_counted(fill, look):
    [group] = (await look(fill("langchain-redis-old-chat"))).groups
    assert group.records.unindexed == Count(2)


async def test_notes_of_what_a_layout_never_stored_are_part_of_the_report(fill, look):
    [group] = (await look(fill("langchain-redis-chat"))).groups
    assert "Tool calls" in group.notes[0]


async def test_the_layouts_of_chatstore_itself_are_recognised_and_its_own_keys_are_counted_apart(redis_database, look):
    async with connect(redis_database) as client:
        chat = RedisChat(client, chat_layout("chatstore"))
        documents = RedisDocuments(client, document_layout("chatstore"))
        for place in range(3):
            await chat.write(CreateSession(user_id="ann", session_id=f"s{place}"))
            messages = tuple(NewMessage("user", "hello") for _ in range(4))
            await chat.write(AppendMessages(user_id="ann", session_id=f"s{place}", messages=messages))
        tea = tuple(NewDocument("Tea", embedding=Embedding.of([1, 2])) for _ in range(5))
        await documents.write(UpsertDocuments(user_id="ann", documents=tea))
    found = await look(redis_database)
    kinds = {group.kind: group for group in found.groups}
    assert {group.layout for group in found.groups} == {"chatstore"}
    assert (kinds[Kind.CHAT].sessions, kinds[Kind.CHAT].messages) == (Count(3), Count(12))
    assert kinds[Kind.DOCUMENTS].documents == Count(5)
    assert kinds[Kind.CHAT].records.whose.users == 1
    assert found.own.value + 3 + 5 == found.keys
    assert not found.unclaimed


async def test_what_the_other_databases_have_is_told(fill, look):
    url = fill("langchain-chat")
    found = await look(url.removesuffix("/0") + "/5")
    assert (found.groups, found.elsewhere) == ([], {0: 2})


async def test_a_cluster_is_looked_at_as_a_whole(redis_cluster):
    async with connect(redis_cluster.url) as client:
        await client.ask_all(
            ("RPUSH", f"message_store:{place}", '{"type": "human", "data": {"content": "hi"}}') for place in range(100)
        )
        found = await inspect(client)
        few = await inspect(client, Options(sample=30))
    [group] = found.groups
    assert (found.keys, found.complete, group.sessions, group.messages) == (100, True, Count(100), Count(100))
    assert (group.records.read, found.gaps) == (100, [])
    assert (few.keys, few.looked_at, few.complete) == (100, 30, False)


async def test_sessions_of_ten_megabyte_messages_are_recognised_at_little_cost(search_redis, look):
    large = "x" * 10_000_000
    item = json.dumps({"type": "human", "data": {"content": large}})
    with redis.Redis.from_url(search_redis, protocol=2) as client:
        dumps.load("langchain-redis-chat").restore(client)
        for place in range(3):
            client.rpush(f"message_store:{place}", item)
        held = {"type": "human", "message_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "data": {"content": large}}
        held |= {"session_id": "huge", "timestamp": 1795529557.8}
        client.execute_command("JSON.SET", "chat:huge:01ARZ3NDEKTSV4RRFFQ69G5FAV", "$", json.dumps(held))
    groups = {group.layout: group for group in (await look(search_redis)).groups}
    assert groups["langchain"].sessions == Count(3)
    assert groups["langchain-redis"].sessions.value >= 2
    assert groups["langchain-redis"].messages == Count(9)
    assert not groups["langchain"].records.quarantined

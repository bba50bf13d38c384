"""The frameworks can be driven: they read what they wrote and what a dump has, add to it, search, delete, and say what fails."""

import pytest

from tests.frameworks import conversations, dumps
from tests.frameworks.framework import DRIVERS, Framework, FrameworkError
from tests.frameworks.scenarios import SCENARIOS, redisvl_schema

SESSION = "user-1:session-1"

# The chat frameworks, with what they are given.
CHATS = {
    "langchain": conversations.LANGCHAIN,
    "langchain-old": conversations.LANGCHAIN_OLD,
    "langchain-redis": conversations.LANGCHAIN_REDIS,
    "langchain-js": conversations.LANGCHAIN_JS,
    "llamaindex": conversations.LLAMAINDEX,
    "openai-agents": conversations.OPENAI_AGENTS,
    "redisvl": conversations.REDISVL,
    "redisvl-old": conversations.REDISVL_OLD,
    "agent-framework": conversations.AGENT_FRAMEWORK,
    "agent-framework-old": conversations.AGENT_FRAMEWORK_OLD,
}

# The stores of documents, with the name of their dump and the options of their calls.
STORES = {
    "langchain": ("langchain-documents", {"index": "tea"}),
    "langchain-redis": (
        "langchain-redis-documents-json",
        {
            "index": "tea",
            "storage_type": "json",
            "metadata_schema": [{"name": "page", "type": "numeric"}, {"name": "tag", "type": "tag"}],
        },
    ),
    "langchain-js": ("langchain-js-documents", {"index": "tea"}),
    "llamaindex": ("llamaindex-documents", {"index": "tea"}),
    "redisvl": ("redisvl-documents-hash", {"schema": redisvl_schema("hash", "float64"), "return_fields": ["content"]}),
}


@pytest.fixture
def client(search_redis):
    with dumps.connect(search_redis) as client:
        yield client


@pytest.mark.parametrize("name", CHATS)
def test_a_framework_reads_back_each_message_and_appends_to_them(name, framework, search_redis):
    it, messages = framework(name), CHATS[name]
    scope = {"application_id": "app"} if name == "agent-framework" else {}
    it.call("write_chat", url=search_redis, session=SESSION, messages=messages, **scope)
    read = it.call("read_chat", url=search_redis, session=SESSION, **scope)
    assert len(read) == len(messages)
    it.call("write_chat", url=search_redis, session=SESSION, messages=messages[1:2], **scope)
    again = it.call("read_chat", url=search_redis, session=SESSION, **scope)
    assert again[:-1] == read
    assert again[-1] == read[1]


def test_langchain_redis_finds_none_of_its_messages_whose_content_has_parts(framework, search_redis, client):
    it = framework("langchain-redis")
    messages = [each for each in conversations.LANGCHAIN_REDIS_UNREADABLE if isinstance(each["data"]["content"], list)]
    it.call("write_chat", url=search_redis, session=SESSION, messages=messages)
    assert client.dbsize() == len(messages)
    assert it.call("read_chat", url=search_redis, session=SESSION) == []


@pytest.mark.parametrize("name", CHATS)
def test_a_framework_reads_a_dump_as_it_reads_what_it_wrote(name, framework, search_redis, client):
    it = framework(name)
    scope = {"application_id": "app"} if name == "agent-framework" else {}
    session = "session-1" if scope else SESSION
    SCENARIOS[f"{name}-chat"](framework, search_redis)
    written = it.call("read_chat", url=search_redis, session=session, **scope)
    client.flushall()
    dumps.load(f"{name}-chat").restore(client)
    read = it.call("read_chat", url=search_redis, session=session, **scope)
    assert written
    assert dumps.blotted(read) == dumps.blotted(written)


@pytest.mark.parametrize("name", CHATS)
def test_a_framework_clears_its_messages(name, framework, search_redis, client):
    it = framework(name)
    scope = {"application_id": "app"} if name == "agent-framework" else {}
    it.call("write_chat", url=search_redis, session=SESSION, messages=CHATS[name], **scope)
    assert client.dbsize() > 0
    it.call("clear_chat", url=search_redis, session=SESSION, **scope)
    assert client.dbsize() == 0


@pytest.mark.parametrize("name", STORES)
def test_a_store_finds_a_document_of_a_dump_by_its_text_and_deletes_it(name, framework, search_redis, client):
    dump, options = STORES[name]
    it, text = framework(name), conversations.DOCUMENTS[0]["text"]
    dumps.load(dump).restore(client)
    found = it.call("search_documents", url=search_redis, text=text, k=2, **options)
    assert len(found) == 2
    assert found[0].get("text", found[0].get("content")) == text
    if name != "redisvl":
        assert {field: str(value) for field, value in found[0]["metadata"].items() if field in {"title", "tag"}} == (
            {} if name == "langchain" else {"title": 'Green « tea: "a" way', "tag": "green"}
        )
    before = client.dbsize()
    ids = {"langchain-js": ["0"], "redisvl": ["green"], "langchain-redis": ["green"]}.get(name, [found[0]["id"]])
    where = {option: value for option, value in options.items() if option != "return_fields"}
    it.call("delete_documents", url=search_redis, ids=ids, **where)
    assert client.dbsize() == before - 1


def test_the_chats_of_a_user_are_listed_newest_first(framework, search_redis):
    it, chat = framework("vercel-kv"), conversations.VERCEL_KV
    it.call("write_chat", url=search_redis, chat=chat)
    it.call("write_chat", url=search_redis, chat={**chat, "id": "chat-2", "createdAt": chat["createdAt"] + 1})
    assert [each["id"] for each in it.call("list_chats", url=search_redis, user="user-1")] == ["chat-2", "chat-1"]
    assert it.call("read_chat", url=search_redis, session="chat-1") == chat
    it.call("clear_chat", url=search_redis, session="chat-2", user="user-1")
    assert [each["id"] for each in it.call("list_chats", url=search_redis, user="user-1")] == ["chat-1"]


@pytest.mark.parametrize("name", ["langchain", "langchain-js"])
def test_what_a_framework_raises_is_told_and_it_goes_on(name, framework, search_redis):
    it = framework(name)
    with pytest.raises(FrameworkError, match="nobody"):
        it.call("write_chat", url=search_redis, session=SESSION, messages=[{"type": "nobody", "data": {"content": ""}}])
    assert it.call("read_chat", url=search_redis, session=SESSION) == []


def test_a_driver_that_ended_is_reported(framework):
    assert framework("redisvl").packages["redisvl"]  # it is built
    it = Framework("redisvl")
    it._process.kill()
    with pytest.raises(FrameworkError, match="ended with -9"):
        it.call("read_chat", url="redis://127.0.0.1:1", session="s")
    it.stop()


def test_every_driver_tells_its_versions(framework):
    for name in DRIVERS:
        assert all(framework(name).packages.values())

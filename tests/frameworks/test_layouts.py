"""The dumps are as the layouts are described: names, types, order. These need no framework and no server."""

import json
import re

import pytest

from tests.frameworks import dumps
from tests.frameworks.scenarios import SCENARIOS

ULID = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
SESSION = "(user-1:session-1|session-2)"
TIME = r"1\d{9}\.\d+"

# Every key of a dump has one of these types and names.
KEYS = {
    "langchain-chat": {f"message_store:{SESSION}": "list"},
    "langchain-old-chat": {f"message_store:{SESSION}": "list"},
    "langchain-js-chat": {SESSION: "list"},
    "langchain-redis-chat": {f"chat:{SESSION}:{ULID}": "ReJSON-RL"},
    "langchain-redis-chat-unreadable": {f"chat:{SESSION}:{ULID}": "ReJSON-RL"},
    "langchain-redis-old-chat": {f"chat:{SESSION}:{TIME}": "ReJSON-RL"},
    "llamaindex-chat": {SESSION: "list"},
    "llamaindex-old-chat": {SESSION: "list"},
    "openai-agents-chat": {f"agents:session:{SESSION}": "hash", f"agents:session:{SESSION}:messages": "list"},
    "redisvl-chat": {f"chat:{SESSION}:{TIME}:[0-9a-f]{{8}}": "hash"},
    "redisvl-chat-semantic": {f"chat:{SESSION}:{TIME}:[0-9a-f]{{8}}": "hash"},
    "redisvl-old-chat": {f"chat:{SESSION}:{TIME}": "hash"},
    "vercel-kv-chat": {r"chat:chat-\d": "hash", "user:chat:user-1": "zset"},
    "agent-framework-chat": {r"chat_messages\|v2(\|[^|]+){5}": "list", "chat_messages:session-2": "list"},
    "agent-framework-old-chat": {f"chat_messages:{SESSION}": "list"},
    "langchain-documents": {"doc:tea:[0-9a-f]{32}": "hash"},
    "langchain-documents-schema": {"app:docs:[a-z]+": "hash"},
    "langchain-redis-documents-hash": {f"tea:{ULID}": "hash"},
    "langchain-redis-documents-json": {"tea:[a-z]+": "ReJSON-RL"},
    "langchain-redis-old-documents": {"tea:[0-9a-f]{32}": "hash"},
    "langchain-js-documents": {r"doc:tea:\d": "hash"},
    "langchain-js-documents-schema": {"doc:tea:[a-z]+": "hash"},
    "langchain-js-documents-fluent": {f"doc:tea:{UUID}": "hash"},
    "llamaindex-documents": {"tea/vector_[a-z]+": "hash"},
    "llamaindex-old-documents": {"tea/vector_[a-z]+": "hash"},
    "redisvl-documents-hash": {f"tea:hash:b?float[0-9]+:([a-z]+|{ULID})": "hash"},
    "redisvl-documents-json": {f"tea:json:float[0-9]+:([a-z]+|{ULID})": "ReJSON-RL"},
    "vector-sets": {"tea:(exact|quantised|binary)": "vectorset"},
}

# Where the text of the first message stands in the list of a session.
FIRST = {
    "langchain-chat": -1,
    "langchain-old-chat": -1,
    "langchain-js-chat": -1,
    "llamaindex-chat": 0,
    "llamaindex-old-chat": 0,
    "agent-framework-old-chat": 0,
}


def test_every_dump_is_described():
    assert set(KEYS) == set(SCENARIOS)


@pytest.mark.parametrize("name", KEYS)
def test_its_keys_have_the_names_and_the_types_of_the_layout(name):
    seen = set()
    for each in dumps.load(name).keys:
        fitting = [pattern for pattern in KEYS[name] if re.fullmatch(pattern, each.key.decode())]
        assert [KEYS[name][pattern] for pattern in fitting] == [each.kind]
        seen.update(fitting)
    assert seen == set(KEYS[name])


@pytest.mark.parametrize("name", FIRST)
def test_a_list_has_the_messages_in_the_order_of_the_layout(name):
    for each in dumps.load(name).keys:
        assert "You know about tea." in json.dumps(json.loads(each.value[FIRST[name]]))


@pytest.mark.parametrize("name", ["langchain-redis-chat", "redisvl-chat", "redisvl-chat-semantic"])
def test_messages_that_are_keys_of_their_own_are_ordered_by_their_times(name):
    messages = [
        json.loads(each.value)
        if each.kind == "ReJSON-RL"
        else {field.decode(): value for field, value in each.value.items()}
        for each in dumps.load(name).keys
        if b"user-1" in each.key
    ]
    ordered = sorted(messages, key=lambda message: float(message["timestamp"]))
    assert "You know about tea." in str(ordered[0])
    assert "How is green tea made?" in str(ordered[1])


@pytest.mark.parametrize(
    "name", [name for name in KEYS if name.endswith("-chat") and name not in {"vercel-kv-chat", "agent-framework-chat"}]
)
def test_one_of_its_sessions_expires_and_the_other_does_not(name):
    assert {(b"session-2" in each.key, each.ttl) for each in dumps.load(name).keys} == {(True, 1000), (False, None)}


def test_langchain_redis_never_stored_the_tool_calls():
    stored = b"".join(each.value for each in dumps.load("langchain-redis-chat").keys)
    assert b"tool_call_id" in stored
    assert b"green tea" in stored
    assert b'"tool_calls"' not in stored
    assert b"usage_metadata" not in stored

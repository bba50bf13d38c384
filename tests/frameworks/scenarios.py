"""What each framework does for its dump: `scenario(framework, url)` for every name in `SCENARIOS`."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import redis

from tests.frameworks import conversations
from tests.frameworks.embedding import DIMENSIONS, embed
from tests.frameworks.framework import Framework

Named = Callable[[str], Framework]
_DOCUMENTS = conversations.DOCUMENTS
_WITHOUT_IDS = [{name: value for name, value in each.items() if name != "id"} for each in _DOCUMENTS]


def _chat(name: str, messages: list[dict[str, Any]], **options: Any) -> Callable[[Named, str], dict[str, str]]:
    """A session that lives for ever and one of two messages that lives for 1000 s."""

    def write(framework: Named, url: str) -> dict[str, str]:
        it = framework(name)
        it.call("write_chat", url=url, session="user-1:session-1", messages=messages, **options)
        it.call("write_chat", url=url, session="session-2", messages=messages[:2], ttl=1000, **options)
        return it.packages

    return write


def _documents(name: str, documents: list[dict[str, Any]], **options: Any) -> Callable[[Named, str], dict[str, str]]:
    def write(framework: Named, url: str) -> dict[str, str]:
        it = framework(name)
        it.call("write_documents", url=url, index="tea", documents=documents, **options)
        return it.packages

    return write


def _agent_framework(framework: Named, url: str) -> dict[str, str]:
    it = framework("agent-framework")
    messages = conversations.AGENT_FRAMEWORK
    it.call(
        "write_chat",
        url=url,
        session="session|1",
        messages=messages,
        application_id="app",
        tenant_id="Tenant ä",
        agent_id="agent",
    )
    it.call("write_chat", url=url, session="session-1", messages=messages[:2], application_id="app")
    it.call("write_chat", url=url, session="session-2", messages=messages[:2], key_format="legacy")
    return it.packages


def _vercel_kv(framework: Named, url: str) -> dict[str, str]:
    it, chat = framework("vercel-kv"), conversations.VERCEL_KV
    it.call("write_chat", url=url, chat=chat)
    it.call(
        "write_chat",
        url=url,
        chat={**chat, "id": "chat-2", "title": "42", "path": "/chat/chat-2", "messages": chat["messages"][:1]},
        iso=True,
    )
    it.call("share_chat", url=url, session="chat-2")
    return it.packages


def redisvl_schema(storage: str, datatype: str) -> dict[str, Any]:
    """The schema that the redisvl scenarios use, for one storage type and one type of numbers."""
    return {
        "index": {"name": f"tea_{storage}_{datatype}", "prefix": f"tea:{storage}:{datatype}", "storage_type": storage},
        "fields": [
            {"name": "content", "type": "text"},
            {"name": "title", "type": "text"},
            {"name": "user", "type": "tag"},
            {"name": "page", "type": "numeric"},
            {
                "name": "embedding",
                "type": "vector",
                "attrs": {"dims": DIMENSIONS, "algorithm": "flat", "distance_metric": "cosine", "datatype": datatype},
            },
        ],
    }


def _redisvl(*kinds: tuple[str, str]) -> Callable[[Named, str], dict[str, str]]:
    def write(framework: Named, url: str) -> dict[str, str]:
        it = framework("redisvl")
        for storage, datatype in kinds:
            rows = [
                {
                    "id": each["id"],
                    "content": each["text"],
                    "title": each["metadata"]["title"],
                    "page": each["metadata"]["page"],
                    "user": "user-1",
                    "app_field": "kept 🍵",
                    "embed": {"embedding": each["text"]},
                }
                for each in _DOCUMENTS
            ]
            it.call(
                "write_documents", url=url, schema=redisvl_schema(storage, datatype), documents=rows[:2], id_field="id"
            )
            it.call("write_documents", url=url, schema=redisvl_schema(storage, datatype), documents=rows[2:], ttl=1000)
        return it.packages

    return write


def _vector_sets(framework: Named, url: str) -> dict[str, str]:
    """No framework: the commands themselves."""
    with redis.Redis.from_url(url) as client:
        for name, how in (("exact", "NOQUANT"), ("quantised", "Q8"), ("binary", "BIN")):
            for each in _DOCUMENTS:
                vector = struct.pack(f"<{DIMENSIONS}f", *embed(each["text"]))
                client.execute_command("VADD", f"tea:{name}", "FP32", vector, each["id"], how)
            attributes = '{"text": "Green tea is steamed. 🍵", "userId": "user-1", "page": 1}'
            client.execute_command("VSETATTR", f"tea:{name}", "green", attributes)
            client.execute_command("VSETATTR", f"tea:{name}", "black", "no JSON")
        return {"redis-server": client.info("server")["redis_version"]}


SCENARIOS: dict[str, Callable[[Named, str], dict[str, str]]] = {
    "langchain-chat": _chat("langchain", conversations.LANGCHAIN),
    "langchain-documents": _documents("langchain", _WITHOUT_IDS),
    "langchain-documents-schema": _documents(
        "langchain",
        _DOCUMENTS,
        index_schema={
            "text": [{"name": "title"}],
            "numeric": [{"name": "page"}, {"name": "score"}],
            "tag": [{"name": "tag"}],
        },
        vector_schema={"algorithm": "HNSW", "datatype": "FLOAT64", "distance_metric": "IP"},
        key_prefix="app:docs",
    ),
    "langchain-redis-chat": _chat("langchain-redis", conversations.LANGCHAIN_REDIS),
    "langchain-redis-chat-unreadable": _chat("langchain-redis", conversations.LANGCHAIN_REDIS_UNREADABLE),
    "langchain-redis-documents-hash": _documents(
        "langchain-redis",
        _WITHOUT_IDS,
        metadata_schema=[
            {"name": "page", "type": "numeric"},
            {"name": "tag", "type": "tag"},
            {"name": "title", "type": "text"},
        ],
    ),
    "langchain-redis-documents-json": _documents(
        "langchain-redis",
        _DOCUMENTS,
        storage_type="json",
        metadata_schema=[{"name": "page", "type": "numeric"}, {"name": "tag", "type": "tag"}],
    ),
    "langchain-js-chat": _chat("langchain-js", conversations.LANGCHAIN_JS),
    "langchain-js-documents": _documents("langchain-js", _WITHOUT_IDS),
    "langchain-js-documents-schema": _documents(
        "langchain-js",
        [{**each, "id": f"doc:tea:{each['id']}"} for each in _DOCUMENTS],
        customSchema={"page": {"type": "NUMERIC"}, "tag": {"type": "TAG"}},
        ttl=1000,
    ),
    "langchain-js-documents-fluent": _documents(
        "langchain-js",
        _WITHOUT_IDS,
        fluent=True,
        customSchema=[
            {"name": "page", "type": "numeric"},
            {"name": "tag", "type": "tag"},
            {"name": "title", "type": "text"},
        ],
    ),
    "llamaindex-chat": _chat("llamaindex", conversations.LLAMAINDEX),
    "llamaindex-documents": _documents(
        "llamaindex",
        [{**each, "source": "book-1"} for each in _DOCUMENTS],
        fields=[{"type": "numeric", "name": "page"}, {"type": "tag", "name": "tag"}],
    ),
    "openai-agents-chat": _chat("openai-agents", conversations.OPENAI_AGENTS),
    "redisvl-chat": _chat("redisvl", conversations.REDISVL),
    "redisvl-chat-semantic": _chat("redisvl", conversations.REDISVL_SEMANTIC, semantic=True),
    "redisvl-documents-hash": _redisvl(
        ("hash", "float32"), ("hash", "float64"), ("hash", "float16"), ("hash", "bfloat16")
    ),
    "redisvl-documents-json": _redisvl(("json", "float32"), ("json", "float64")),
    "vercel-kv-chat": _vercel_kv,
    "agent-framework-chat": _agent_framework,
    "vector-sets": _vector_sets,
    "langchain-old-chat": _chat("langchain-old", conversations.LANGCHAIN_OLD),
    "langchain-redis-old-chat": _chat("langchain-redis-old", conversations.LANGCHAIN_OLD),
    "langchain-redis-old-documents": _documents(
        "langchain-redis-old",
        _WITHOUT_IDS,
        metadata_schema=[
            {"name": "page", "type": "numeric"},
            {"name": "tag", "type": "tag"},
            {"name": "title", "type": "text"},
        ],
    ),
    "llamaindex-old-chat": _chat("llamaindex-old", conversations.LLAMAINDEX_OLD),
    "llamaindex-old-documents": _documents("llamaindex-old", [{**each, "source": "book-1"} for each in _DOCUMENTS]),
    "redisvl-old-chat": _chat("redisvl-old", conversations.REDISVL_OLD),
    "agent-framework-old-chat": _chat("agent-framework-old", conversations.AGENT_FRAMEWORK_OLD),
}

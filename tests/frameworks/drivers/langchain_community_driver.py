"""Drives langchain-community's Redis classes."""

from __future__ import annotations

from typing import Any

from langchain_community.chat_message_histories import RedisChatMessageHistory
from langchain_community.vectorstores.redis import Redis
from langchain_core.messages import message_to_dict, messages_from_dict
from langchain_parts import FakeEmbeddings, add_documents
from serving import serve


def write_chat(url: str, session: str, messages: list[dict[str, Any]], **options: Any) -> None:
    """Append messages (`message_to_dict`'s shape). Options: `ttl` in seconds, `key_prefix`."""
    RedisChatMessageHistory(session, url=url, **options).add_messages(messages_from_dict(messages))


def read_chat(url: str, session: str, **options: Any) -> list[dict[str, Any]]:
    """Return all messages, oldest first."""
    return [message_to_dict(message) for message in RedisChatMessageHistory(session, url=url, **options).messages]


def clear_chat(url: str, session: str, **options: Any) -> None:
    """Delete all messages."""
    RedisChatMessageHistory(session, url=url, **options).clear()


def write_documents(url: str, index: str, documents: list[dict[str, Any]], **options: Any) -> list[str]:
    """Add documents ({id?, text, metadata}) and return their keys. Options: those of `Redis`, e.g. `index_schema`."""
    return add_documents(_store(url, index, options), documents)


def search_documents(url: str, index: str, text: str, k: int = 4, **options: Any) -> list[dict[str, Any]]:
    """Return the nearest documents, with distances as scores."""
    found = _store(url, index, options).similarity_search_with_score(text, k=k, return_metadata=True)
    return [
        {"id": each.metadata.get("id"), "text": each.page_content, "metadata": each.metadata, "score": float(score)}
        for each, score in found
    ]


def delete_documents(url: str, index: str, ids: list[str], **options: Any) -> None:
    """Delete documents by their keys."""
    _store(url, index, options).delete(ids)


def _store(url: str, index: str, options: dict[str, Any]) -> Redis:
    return Redis(redis_url=url, index_name=index, embedding=FakeEmbeddings(), **options)


serve(
    {
        each.__name__: each
        for each in (write_chat, read_chat, clear_chat, write_documents, search_documents, delete_documents)
    },
    "langchain-community",
    "langchain-core",
)

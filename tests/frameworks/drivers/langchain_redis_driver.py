"""Drives langchain-redis."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import message_to_dict, messages_from_dict
from langchain_parts import FakeEmbeddings, add_documents
from langchain_redis import RedisChatMessageHistory, RedisConfig, RedisVectorStore
from serving import serve


def write_chat(url: str, session: str, messages: list[dict[str, Any]], **options: Any) -> None:
    """Append messages (`message_to_dict`'s shape). Options: `ttl` in seconds, `key_prefix`, `index_name`."""
    for message in messages_from_dict(messages):
        RedisChatMessageHistory(session, redis_url=url, **options).add_message(message)


def read_chat(url: str, session: str, **options: Any) -> list[dict[str, Any]]:
    """Return all messages, oldest first."""
    return [message_to_dict(message) for message in RedisChatMessageHistory(session, redis_url=url, **options).messages]


def search_chat(url: str, session: str, query: str, **options: Any) -> list[dict[str, Any]]:
    """Return the messages that have the words of a query."""
    return RedisChatMessageHistory(session, redis_url=url, **options).search_messages(query)


def clear_chat(url: str, session: str, **options: Any) -> None:
    """Delete all messages."""
    RedisChatMessageHistory(session, redis_url=url, **options).clear()


def write_documents(url: str, index: str, documents: list[dict[str, Any]], **options: Any) -> list[str]:
    """Add documents ({id?, text, metadata}) and return their ids. Options: those of `RedisConfig`, e.g. `storage_type`."""
    return add_documents(_store(url, index, options), documents)


def read_documents(url: str, index: str, ids: list[str], **options: Any) -> list[dict[str, Any]]:
    """Return documents by their ids."""
    return [
        {"id": each.id, "text": each.page_content, "metadata": each.metadata}
        for each in _store(url, index, options).get_by_ids(ids)
    ]


def search_documents(url: str, index: str, text: str, k: int = 4, **options: Any) -> list[dict[str, Any]]:
    """Return the nearest documents, with distances as scores."""
    found = _store(url, index, options).similarity_search_with_score(text, k=k)
    return [
        {"id": each.id, "text": each.page_content, "metadata": each.metadata, "score": float(score)}
        for each, score in found
    ]


def delete_documents(url: str, index: str, ids: list[str], **options: Any) -> None:
    """Delete documents by their ids."""
    _store(url, index, options).delete(ids)


def _store(url: str, index: str, options: dict[str, Any]) -> RedisVectorStore:
    return RedisVectorStore(FakeEmbeddings(), config=RedisConfig(index_name=index, redis_url=url, **options))


FUNCTIONS = (
    write_chat,
    read_chat,
    search_chat,
    clear_chat,
    write_documents,
    read_documents,
    search_documents,
    delete_documents,
)
serve({each.__name__: each for each in FUNCTIONS}, "langchain-redis", "langchain-core", "redisvl")

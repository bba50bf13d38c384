"""Drives redisvl: its message histories and its index."""

from __future__ import annotations

from typing import Any

import numpy as np
import redis
from redisvl.extensions.message_history import MessageHistory, SemanticMessageHistory
from redisvl.index import SearchIndex
from redisvl.query import VectorQuery
from redisvl.redis.utils import array_to_buffer
from redisvl.utils.vectorize import CustomTextVectorizer
from serving import embed, serve


def write_chat(url: str, session: str, messages: list[dict[str, Any]], name: str = "chat", **options: Any) -> None:
    """Append messages ({role, content, tool_call_id?, metadata?}). Options: `semantic`, `prefix`; `ttl` sets one on each new key."""
    ttl = options.pop("ttl", None)
    client = redis.Redis.from_url(url)
    before = set(client.scan_iter(f"{options.get('prefix') or name}:*"))
    _history(url, session, name, options).add_messages(messages)
    if ttl is not None:  # the class has no option for it: apps do it like this
        for key in set(client.scan_iter(f"{options.get('prefix') or name}:*")) - before:
            client.expire(key, ttl)
    client.close()


def read_chat(url: str, session: str, name: str = "chat", **options: Any) -> list[dict[str, Any]]:
    """Return all messages, oldest first."""
    return _history(url, session, name, options).messages


def recent_chat(url: str, session: str, name: str = "chat", count: int = 100, **options: Any) -> list[dict[str, Any]]:
    """Return the last messages, with all of their fields."""
    return _history(url, session, name, options).get_recent(top_k=count, raw=True)


def drop_message(url: str, session: str, message: str, name: str = "chat", **options: Any) -> None:
    """Delete one message."""
    _history(url, session, name, options).drop(message)


def clear_chat(url: str, session: str, name: str = "chat", **options: Any) -> None:
    """Delete all messages of all sessions with this name."""
    _history(url, session, name, options).clear()


def write_documents(
    url: str,
    schema: dict[str, Any],
    documents: list[dict[str, Any]],
    id_field: str | None = None,
    ttl: int | None = None,
) -> list[str]:
    """Create the index if need be, load documents (its fields; "embed": a field → text to embed there) and return their keys."""
    index = SearchIndex.from_dict(schema, redis_url=url)
    index.create(overwrite=False)
    fields = index.schema.fields
    rows = []
    for each in documents:
        row = {name: value for name, value in each.items() if name != "embed"}
        for name, text in each.get("embed", {}).items():
            vector = embed(text)
            dtype = str(fields[name].attrs.datatype.value).lower()
            row[name] = vector if index.storage_type.value == "json" else array_to_buffer(vector, dtype)
        rows.append(row)
    return index.load(rows, id_field=id_field, ttl=ttl)


def read_documents(url: str, schema: dict[str, Any], ids: list[str]) -> list[dict[str, Any] | None]:
    """Return documents by their ids; vectors as lists of numbers."""
    index = SearchIndex.from_dict(schema, redis_url=url)
    return [_plain(index.fetch(each), index) for each in ids]


def search_documents(
    url: str,
    schema: dict[str, Any],
    text: str,
    *,
    field: str = "embedding",
    k: int = 4,
    return_fields: list[str] | None = None,
) -> list[dict[str, Any]]:
    """Return the nearest documents, with distances."""
    index = SearchIndex.from_dict(schema, redis_url=url)
    dtype = index.schema.fields[field].attrs.datatype.value.lower()
    return index.query(VectorQuery(embed(text), field, return_fields=return_fields, num_results=k, dtype=dtype))


def delete_documents(url: str, schema: dict[str, Any], ids: list[str]) -> None:
    """Delete documents by their ids."""
    SearchIndex.from_dict(schema, redis_url=url).drop_documents(ids)


def _plain(document: Any, index: SearchIndex) -> Any:
    if document is None:
        return None
    return {
        name: np.frombuffer(value, dtype=index.schema.fields[name].attrs.datatype.value.lower()).tolist()
        if isinstance(value, bytes)
        else value
        for name, value in document.items()
    }


def _history(url: str, session: str, name: str, options: dict[str, Any]) -> Any:
    if options.pop("semantic", False):
        vectorizer = CustomTextVectorizer(embed=embed, embed_many=lambda texts: [embed(text) for text in texts])
        return SemanticMessageHistory(name, session_tag=session, redis_url=url, vectorizer=vectorizer, **options)
    return MessageHistory(name, session_tag=session, redis_url=url, **options)


FUNCTIONS = (
    write_chat,
    read_chat,
    recent_chat,
    drop_message,
    clear_chat,
    write_documents,
    read_documents,
    search_documents,
    delete_documents,
)
serve({each.__name__: each for each in FUNCTIONS}, "redisvl", "redis")

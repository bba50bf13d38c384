"""Drives what redisvl had before its message histories: session managers."""

from __future__ import annotations

from typing import Any

import redis
from redisvl.extensions.session_manager import StandardSessionManager
from serving import serve


def write_chat(
    url: str, session: str, messages: list[dict[str, Any]], name: str = "chat", ttl: int | None = None
) -> None:
    """Append messages ({role, content, tool_call_id?}). `ttl` sets one on each new key."""
    client = redis.Redis.from_url(url)
    before = set(client.scan_iter(f"{name}:*"))
    # One by one: an entry's id is made of its time, and entries of one moment would be one.
    for message in messages:
        _manager(url, session, name).add_message(message)
    if ttl is not None:
        for key in set(client.scan_iter(f"{name}:*")) - before:
            client.expire(key, ttl)
    client.close()


def read_chat(url: str, session: str, name: str = "chat") -> list[dict[str, Any]]:
    """Return the last 100 messages, oldest first."""
    return _manager(url, session, name).get_recent(top_k=100)


def clear_chat(url: str, session: str, name: str = "chat") -> None:
    """Delete all messages of all sessions with this name."""
    _manager(url, session, name).clear()


def _manager(url: str, session: str, name: str) -> StandardSessionManager:
    return StandardSessionManager(name, session_tag=session, redis_url=url)


serve({each.__name__: each for each in (write_chat, read_chat, clear_chat)}, "redisvl", "redis")

"""Drives what Microsoft's Agent Framework had before its history provider: a store of chat messages."""

from __future__ import annotations

import asyncio
from typing import Any

from agent_framework import ChatMessage
from agent_framework_redis import RedisChatMessageStore
from serving import serve


def write_chat(url: str, session: str, messages: list[dict[str, Any]], ttl: int | None = None, **options: Any) -> None:
    """Append messages (`ChatMessage.to_dict`'s shape). Options: `key_prefix`, `max_messages`; `ttl` sets one, as apps do."""

    async def write(at: RedisChatMessageStore) -> None:
        await at.add_messages([ChatMessage.from_dict(each) for each in messages])
        if ttl is not None:
            await at._redis_client.expire(at.redis_key, ttl)

    _run(url, session, options, write)


def read_chat(url: str, session: str, **options: Any) -> list[dict[str, Any]]:
    """Return all messages, oldest first."""
    return [each.to_dict() for each in _run(url, session, options, lambda at: at.list_messages())]


def clear_chat(url: str, session: str, **options: Any) -> None:
    """Delete all messages."""
    _run(url, session, options, lambda at: at.clear())


def _run(url: str, session: str, options: dict[str, Any], work: Any) -> Any:
    async def run() -> Any:
        at = RedisChatMessageStore(redis_url=url, thread_id=session, **options)
        try:
            return await work(at)
        finally:
            await at.aclose()

    return asyncio.run(run())


serve(
    {each.__name__: each for each in (write_chat, read_chat, clear_chat)},
    "agent-framework-redis",
    "agent-framework-core",
)

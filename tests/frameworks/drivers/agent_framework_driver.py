"""Drives the history provider of Microsoft's Agent Framework."""

from __future__ import annotations

import asyncio
from typing import Any

from agent_framework import Message
from agent_framework_redis import RedisHistoryProvider
from serving import serve


def write_chat(url: str, session: str, messages: list[dict[str, Any]], **options: Any) -> None:
    """Append messages (`Message.to_dict`'s shape). Options: those of the provider, e.g. `key_format`, `key_prefix`."""
    _run(url, options, lambda at: at.save_messages(session, [Message.from_dict(each) for each in messages]))


def read_chat(url: str, session: str, **options: Any) -> list[dict[str, Any]]:
    """Return all messages, oldest first."""
    return [each.to_dict() for each in _run(url, options, lambda at: at.get_messages(session))]


def clear_chat(url: str, session: str, **options: Any) -> None:
    """Delete all messages."""
    _run(url, options, lambda at: at.clear(session))


def _run(url: str, options: dict[str, Any], work: Any) -> Any:
    async def run() -> Any:
        scope = {} if options.get("key_format") == "legacy" else {"application_id": "app"}
        at = RedisHistoryProvider(redis_url=url, **{**scope, **options})
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

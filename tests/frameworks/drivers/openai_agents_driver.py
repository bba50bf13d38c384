"""Drives the OpenAI Agents SDK's RedisSession."""

from __future__ import annotations

import asyncio
from typing import Any

from agents.extensions.memory import RedisSession
from serving import serve


def write_chat(url: str, session: str, messages: list[dict[str, Any]], **options: Any) -> None:
    """Append items of the Responses API. Options: `ttl` in seconds, `key_prefix`."""
    _run(url, session, options, lambda at: at.add_items(messages))


def read_chat(url: str, session: str, **options: Any) -> list[dict[str, Any]]:
    """Return all items, oldest first."""
    return _run(url, session, options, lambda at: at.get_items())


def pop_chat(url: str, session: str, **options: Any) -> dict[str, Any] | None:
    """Remove the last item and return it."""
    return _run(url, session, options, lambda at: at.pop_item())


def clear_chat(url: str, session: str, **options: Any) -> None:
    """Delete the session."""
    _run(url, session, options, lambda at: at.clear_session())


def _run(url: str, session: str, options: dict[str, Any], work: Any) -> Any:
    async def run() -> Any:
        at = RedisSession.from_url(session, url=url, **options)
        try:
            return await work(at)
        finally:
            await at.close()

    return asyncio.run(run())


serve({each.__name__: each for each in (write_chat, read_chat, pop_chat, clear_chat)}, "openai-agents")

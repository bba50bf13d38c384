"""The blocking facade over a real Redis, beside the blocking client that sends the same script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import redis

from benchmarks.ledgers import server
from benchmarks.results import Row
from benchmarks.router_sides import SESSION, USER, Nothing, router_at
from benchmarks.timing import Times, race
from chatstore.interfaces import ChatHistoryStore
from chatstore.models import AppendMessages, NewMessage, Side, Stage
from chatstore.redis import RedisChat, chat_layout, connect
from chatstore.redis.scripts import Call
from chatstore.redis.session_calls import SessionCalls
from chatstore.sync import BlockingStores

_ROUNDS = 20
_MORE = 60.0
_READ = 20


def measure(*, calls: int) -> list[Row]:
    """Return what the facade takes for a read and for an append."""
    with asyncio.Runner() as runner:
        running = server()
        url = runner.run(running.__aenter__())
        try:
            return _measure(url, calls // _ROUNDS)
        finally:
            runner.run(running.__aexit__(None, None, None))


def _measure(url: str, calls: int) -> list[Row]:
    raw = redis.Redis.from_url(url)
    with _stores(url, routed=False) as alone, _stores(url, routed=True) as routed, raw:
        for name in ("raw", "alone", "routed"):
            alone.chat.create_session(USER, session_id=f"{SESSION}-{name}")
            alone.chat.append(USER, f"{SESSION}-{name}", [_message() for _ in range(_READ)])
        script = SessionCalls(chat_layout("hash"))
        for call in (script.count(b"", USER), script.write(_append(SESSION), None)):
            raw.script_load(call.script.text)
        reading = race(
            {
                "raw": lambda: _send(raw, script.read_backward(f"{SESSION}-raw".encode(), USER, None, _READ)),
                "a Redis store": lambda: alone.chat.last_messages(USER, f"{SESSION}-alone", _READ),
                "a router at `off`": lambda: routed.chat.last_messages(USER, f"{SESSION}-routed", _READ),
            },
            rounds=_ROUNDS,
            calls=calls,
        )
        appending = race(
            {
                "raw": lambda: _send(raw, script.write(_append(f"{SESSION}-raw"), None)),
                "a Redis store": lambda: alone.chat.append(USER, f"{SESSION}-alone", _message()),
                "a router at `off`": lambda: routed.chat.append(USER, f"{SESSION}-routed", _message()),
            },
            rounds=_ROUNDS,
            calls=calls,
        )
    return [*_rows(f"read of {_READ} messages", reading), *_rows("append", appending)]


def _rows(work: str, times: dict[str, Times]) -> list[Row]:
    raw = times.pop("raw")
    return [
        Row(
            f"{work} by the blocking facade of {name}, p50",
            str(took),
            f"the raw client: {raw} and {_MORE:.0f} µs",
            took.p50 / (raw.p50 + _MORE),
            at_most=1.0,
        )
        for name, took in times.items()
    ]


def _stores(url: str, *, routed: bool) -> BlockingStores:
    @asynccontextmanager
    async def opening() -> AsyncIterator[SimpleNamespace]:
        async with connect(url) as client:
            chat: ChatHistoryStore = RedisChat(client, chat_layout("hash"))
            if routed:
                chat = router_at(Stage.OFF, RedisChat(client, chat_layout("hash")), Nothing(Side.NEW))
            yield SimpleNamespace(chat=chat, documents=None)

    return BlockingStores(opening)


def _send(client: redis.Redis, call: Call) -> object:
    return client.evalsha(call.script.sha, len(call.keys), *call.keys, *call.arguments)  # type: ignore[arg-type]


def _append(session_id: str) -> AppendMessages:
    return AppendMessages(user_id=USER, session_id=session_id, messages=(_message(),))


def _message() -> NewMessage:
    return NewMessage(role="user", content="How are you?")

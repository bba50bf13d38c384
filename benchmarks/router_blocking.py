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
from benchmarks.timing import Blocking, Times, race
from chatstore.interfaces import ChatHistoryStore
from chatstore.models import AppendMessages, NewMessage, Side, Stage, new_id
from chatstore.redis import RedisChat, chat_layout, connect
from chatstore.redis.scripts import Call
from chatstore.redis.session_calls import SessionCalls
from chatstore.sync import BlockingStores

_ROUNDS = 20
_MORE = 60.0
_READ = 20
_RAW = "raw"


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
    layout = chat_layout("hash")
    script = SessionCalls(layout)
    decoder = RedisChat(connect(url), layout)
    raw = redis.Redis.from_url(url)
    with _stores(url, routed=False) as alone, _stores(url, routed=True) as routed, raw:
        for call in (script.count(b"", USER), script.write(_append(""), None)):
            raw.script_load(call.script.text)
        now = ""

        def prepare(number: int) -> None:
            """Begin sessions for a round: what an append and a count cost grows with the session."""
            nonlocal now
            now = f"{SESSION}-{new_id()}-{number}"
            for name, stores in ((_RAW, alone), *((name, facade) for name, facade in facades.items())):
                stores.chat.create_session(USER, session_id=f"{now}-{name}")
                stores.chat.append(USER, f"{now}-{name}", [_message() for _ in range(_READ)])

        def read(facade: BlockingStores, name: str) -> Blocking:
            return lambda: facade.chat.last_messages(USER, f"{now}-{name}", _READ)

        def count(facade: BlockingStores, name: str) -> Blocking:
            return lambda: facade.chat.count_messages(USER, f"{now}-{name}")

        def append(facade: BlockingStores, name: str) -> Blocking:
            return lambda: facade.chat.append(USER, f"{now}-{name}", _message())

        def raw_count() -> object:
            return _send(raw, script.count(f"{now}-{_RAW}".encode(), USER))

        def raw_read() -> object:
            name = f"{now}-{_RAW}"
            reply = _send(raw, script.read_backward(name.encode(), USER, None, _READ))
            return decoder._readable(reply, USER, name)  # noqa: SLF001 - the same work, by the same code

        def raw_append() -> object:
            return _send(raw, script.write(_append(f"{now}-{_RAW}"), None))

        facades = {"a Redis store": alone, "a router at `off`": routed}
        rows: list[Row] = []
        for work, ours, theirs in (
            ("count of messages", count, raw_count),
            (f"read of {_READ} messages", read, raw_read),
            ("append", append, raw_append),
        ):
            contenders = {name: ours(facade, name) for name, facade in facades.items()}
            times = race({_RAW: theirs, **contenders}, rounds=_ROUNDS, calls=calls, prepare=prepare)
            rows += _rows(work, times)
    return rows


def _rows(work: str, times: dict[str, Times]) -> list[Row]:
    raw = times.pop(_RAW)
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

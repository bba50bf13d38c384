"""How fast sessions come out of Redis and go into it, beside the same keys and nothing else.

    python -m benchmarks.chat_read [MESSAGES]

starts a Valkey, fills it with sessions of 20 messages in the layout `hash`, and measures in one run:

- raw read: redis-py, pipelines of 1,000 `HMGET` of a message's fields, which become no records;
- fetch: the same messages as records, with their fingerprints, as `chatstore migrate` reads them;
- walk: the ids of the sessions alone, and whether each message is listed;
- fingerprints: what a second run asks for instead of the content;
- raw write: redis-py, pipelines of 1,000 `HSET` of the same messages;
- put: the same sessions joined into an empty Redis, as on the way back, and once more where all of them are there.

Beside the rate there is what Redis itself was at work for a message, which tells more where the machine is shared.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import redis.asyncio

from benchmarks.ledgers import server
from benchmarks.results import Row, show
from chatstore.models import ChatChange
from chatstore.redis import Client, RedisChat, chat_layout, connect

_A_SESSION = 20
_A_PIPELINE = 1000
_A_BATCH = 50
_FIELDS = ("sessionId", "role", "content", "createdAt", "metadata")


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast something was.

    Attributes:
        per_second: Messages a second.
        of_redis: Microseconds of a CPU that Redis used for a message.
    """

    per_second: float
    of_redis: float


def message(session: int, place: int) -> tuple[str, dict[str, str | int]]:
    """Return the id of a message and its fields."""
    name, role = f"s{session}-{place}", ("user", "assistant")[place % 2]
    content = f"{name}: " + "what people say to each other " * 5
    time_made = 1_700_000_000_000 + session + place
    return name, dict(zip(_FIELDS, (f"s{session}", role, content, time_made, "{}"), strict=True))


async def fill(client: Client, sessions: int) -> None:
    """Write sessions as an app does that knows nothing of chatstore."""
    for number in range(sessions):
        messages = [message(number, place) for place in range(_A_SESSION)]
        fields = {"userId": f"u{number % 100}", "title": f"s{number}", "createdAt": 1_700_000_000_000 + number}
        listed = {"updatedAt": 1_700_000_000_000 + number, "messageIds": json.dumps([name for name, _ in messages])}
        flat = [part for pair in {**fields, **listed, "metadata": "{}"}.items() for part in pair]
        commands: list[list[str | int]] = [["HSET", f"session:s{number}", *flat]]
        commands += [
            ["HSET", f"message:{name}", *(p for pair in held.items() for p in pair)] for name, held in messages
        ]
        await client.ask_all(commands)


async def raw_read(app: redis.asyncio.Redis, sessions: int) -> None:
    names = [f"message:s{session}-{place}" for session in range(sessions) for place in range(_A_SESSION)]
    for start in range(0, len(names), _A_PIPELINE):
        pipeline = app.pipeline(transaction=False)
        for name in names[start : start + _A_PIPELINE]:
            pipeline.hmget(name, _FIELDS)
        await pipeline.execute()


async def raw_write(app: redis.asyncio.Redis, sessions: int) -> None:
    messages = [message(session, place) for session in range(sessions) for place in range(_A_SESSION)]
    for start in range(0, len(messages), _A_PIPELINE):
        pipeline = app.pipeline(transaction=False)
        for name, fields in messages[start : start + _A_PIPELINE]:
            pipeline.hset(f"message:{name}", mapping=fields)
        await pipeline.execute()


async def walk(chat: RedisChat) -> list[str]:
    return [name async for page in chat.keys() for name in page.keys]  # noqa: SIM118 - no mapping


async def put(chat: RedisChat, changes: list[ChatChange]) -> None:
    for start in range(0, len(changes), _A_BATCH):
        await chat.put(changes[start : start + _A_BATCH])


def measure(messages: int = 40_000) -> list[Row]:
    """Return the comparisons with the raw client."""
    rates = asyncio.run(_measure(messages))
    rows = []
    for name, found in rates.items():
        if name.startswith("raw"):
            continue
        beside = "raw write" if name.startswith("put") else "raw read"
        ours, raw = (
            f"{one.per_second:,.0f} messages/s, Redis {one.of_redis:.1f} µs each" for one in (found, rates[beside])
        )
        rows.append(Row(name, ours, f"{beside}: {raw}", found.per_second / rates[beside].per_second))
    return rows


async def _measure(messages: int) -> dict[str, Rate]:
    """Return how fast each of them was, by its name."""
    sessions, rates = messages // _A_SESSION, dict[str, Rate]()
    async with server() as url, connect(url) as client, redis.asyncio.Redis.from_url(url) as app:
        chat = RedisChat(client, chat_layout("hash"))

        async def rate(name: str, work: Callable[[], Awaitable[object]]) -> None:
            used, begun = (await chat.load()).cpu_seconds or 0, time.perf_counter()
            await work()
            seconds, used_then = time.perf_counter() - begun, (await chat.load()).cpu_seconds or 0
            rates[name] = Rate(messages / seconds, (used_then - used) / messages * 1e6)

        changes: list[ChatChange] = []

        async def fetch() -> None:
            changes.clear()
            async for page in chat.fetch(names):
                changes.extend(page.changes)

        await fill(client, sessions)
        names = await walk(chat)
        await rate("raw read", lambda: raw_read(app, sessions))
        await rate("fetch", fetch)
        await rate("walk", lambda: walk(chat))
        await rate("fingerprints", lambda: chat.fingerprints(names))
        await client.ask("FLUSHDB")
        await rate("raw write", lambda: raw_write(app, sessions))
        await client.ask("FLUSHDB")
        await rate("put", lambda: put(chat, changes))
        await rate("put again", lambda: put(chat, changes))
        await chat.close()
    return rates


if __name__ == "__main__":
    show(measure(*map(int, sys.argv[1:])))

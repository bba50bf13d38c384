"""How fast a chat backfill is, beside the naive way and beside the most that the servers can do.

    python -m benchmarks.chat_backfill [MESSAGES]

Redis is filled with sessions of 20 messages in the layout `hash`. In one run, beside each other:

- naive: `KEYS`, then a `HGETALL` and one inserted row for each message, one after another (of the first 300 messages);
- reading: pipelined `HMGET` of the same keys by redis-py, 1,000 at a time;
- copying: `COPY` of the same rows, which are in memory as text, into a temporary table, and one `insert … on conflict`,
  5,000 rows at a time, the sessions before the messages;
- API: bulk upserts of prepared rows, 500 a request, 16 requests at once;
- chatstore: `backfill_chat` with `SUPABASE_DB_URL`, and without it, each into empty tables; each once more with nothing
  to do; then back, from Supabase into an empty Redis.
"""

from __future__ import annotations

import asyncio
import json
import sys

import redis.asyncio
from supabase import AsyncClient, acreate_client

from benchmarks.raw_supabase import A_SESSION, TEXT, copy_rows, empty_tables, rows_to_copy, upsert_by_api
from benchmarks.results import Row, per_second, show, timed
from benchmarks.servers import begin_anew, nothing, settings_of, stack
from chatstore.backends import Backends
from chatstore.local import LocalStack
from chatstore.migration import backfill_chat
from chatstore.models import Kind, Side

_NAIVE = 300
_READ_AT_ONCE = 1000
_FIELDS = ("sessionId", "role", "content", "createdAt", "metadata")
_CREATED = 1_700_000_000_000


def measure(messages: int = 100_000) -> list[Row]:
    """Return the comparisons."""
    with stack() as servers:
        return asyncio.run(_measure(servers, messages // A_SESSION))


async def fill(url: str, sessions: int) -> None:
    """Fill Redis with sessions in the layout `hash`, as an app writes them."""
    async with redis.asyncio.Redis.from_url(url) as client:
        for start in range(0, sessions, 100):
            pipeline = client.pipeline(transaction=False)
            for number in range(start, min(start + 100, sessions)):
                name = f"s{number}"
                ids = [f"{name}-{place}" for place in range(A_SESSION)]
                header = {"userId": f"u{number % 100}", "title": name, "createdAt": _CREATED, "updatedAt": _CREATED}
                pipeline.hset(f"session:{name}", mapping={**header, "messageIds": json.dumps(ids), "metadata": "{}"})
                for place, one in enumerate(ids):
                    values = (name, ("user", "assistant")[place % 2], f"{one}: {TEXT}", _CREATED + place, "{}")
                    pipeline.hset(f"message:{one}", mapping=dict(zip(_FIELDS, values, strict=True)))
            await pipeline.execute()


async def _measure(servers: LocalStack, sessions: int) -> list[Row]:
    at, count = servers.settings, sessions * A_SESSION
    await fill(at.redis_url, sessions)
    supabase = await acreate_client(at.supabase_url, at.supabase_secret_key)
    naive = (await timed(_naive(at.redis_url, supabase)))[0] / _NAIVE * count
    reading = (await timed(_read(at.redis_url, sessions)))[0]
    await empty_tables(at.supabase_db_url)
    copying = (await timed(asyncio.to_thread(copy_rows, at.supabase_db_url, *rows_to_copy(sessions))))[0]
    await empty_tables(at.supabase_db_url)
    api = await upsert_by_api(supabase, sessions)
    by_api, again_by_api, _ = await _ours(servers, db_url=False)
    by_copy, again_by_copy, back = await _ours(servers, db_url=True, back=True)
    slower = max(reading, copying)
    beside = "raw reading" if reading > copying else "raw copying"
    rate = "messages"
    return [
        Row(
            "chat backfill with `SUPABASE_DB_URL`",
            per_second(count, by_copy, rate),
            f"the naive way: {per_second(count, naive, rate)}",
            naive / by_copy,
            at_least=150,
        ),
        Row(
            "the same",
            per_second(count, by_copy, rate),
            f"the slower of raw reading ({per_second(count, reading, rate)}) and raw copying "
            f"({per_second(count, copying, rate)}): {beside}",
            slower / by_copy,
            at_least=0.7,
        ),
        Row(
            "chat backfill by the API only",
            per_second(count, by_api, rate),
            f"raw bulk upserts: {per_second(count, api, rate)}",
            api / by_api,
            at_least=0.7,
        ),
        Row(
            "a second run with nothing to do, with `SUPABASE_DB_URL`",
            per_second(count, again_by_copy, rate),
            "the first run",
            by_copy / again_by_copy,
            at_least=5,
        ),
        Row(
            "a second run with nothing to do, by the API",
            per_second(count, again_by_api, rate),
            "the first run",
            by_api / again_by_api,
            at_least=5,
        ),
        Row(
            "the way back, into an empty Redis",
            per_second(count, back, rate),
            "the way there",
            by_copy / back,
            at_least=0.5,
        ),
    ]


async def _ours(servers: LocalStack, *, db_url: bool, back: bool = False) -> tuple[float, float, float]:
    """Return the seconds of a backfill into empty tables, of a second one, and of the way back into an empty Redis."""
    async with Backends(settings_of(servers, db_url=db_url)) as backends:
        sides, progress = await backends.chat_sides(), backends.progress(Kind.CHAT)
        await begin_anew(servers, sides)

        async def copy(source: Side) -> None:
            report = await backfill_chat(sides[source], sides[source.other], progress, repair=nothing)
            if not report.complete:
                raise RuntimeError(report)

        first = (await timed(copy(Side.OLD)))[0]
        second = (await timed(copy(Side.OLD)))[0]
        if not back:
            return first, second, 0.0
        async with redis.asyncio.Redis.from_url(servers.settings.redis_url) as client:
            await client.flushdb()
        return first, second, (await timed(copy(Side.NEW)))[0]


async def _naive(url: str, supabase: AsyncClient) -> None:
    async with redis.asyncio.Redis.from_url(url) as client:
        for key in sorted(await client.keys("session:*"))[: _NAIVE // A_SESSION]:
            held = await client.hgetall(key)
            name = key.decode().removeprefix("session:")
            session = {"id": name, "user_id": held[b"userId"].decode(), "title": held[b"title"].decode()}
            await supabase.table("sessions").upsert(session).execute()
            for place, one in enumerate(json.loads(held[b"messageIds"])):
                fields = await client.hgetall(f"message:{one}")
                row = {"session_id": name, "id": one, "user_id": session["user_id"], "position": place}
                row |= {field: fields[field.encode()].decode() for field in ("role", "content")}
                await supabase.table("messages").insert(row).execute()


async def _read(url: str, sessions: int) -> None:
    keys = [f"message:s{number}-{place}" for number in range(sessions) for place in range(A_SESSION)]
    async with redis.asyncio.Redis.from_url(url) as client:
        for start in range(0, len(keys), _READ_AT_ONCE):
            pipeline = client.pipeline(transaction=False)
            for key in keys[start : start + _READ_AT_ONCE]:
                pipeline.hmget(key, *_FIELDS)
            await pipeline.execute()


if __name__ == "__main__":
    show(measure(*map(int, sys.argv[1:])))

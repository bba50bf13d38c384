"""The connections that calls share: who waits for one, and which are fit to be given out."""

import asyncio

import pytest
import redis.asyncio
from redis.credentials import UsernamePasswordCredentialProvider
from redis.exceptions import ConnectionError as NoConnectionError

from chatstore.redis import connect, take_over


@pytest.fixture
async def pool(redis_database):
    """One connection, for which a call waits a moment at the most."""
    async with connect(redis_database) as client:
        client.connection_pool.max_connections, client.connection_pool.timeout = 1, 0.5
        yield client.connection_pool


async def use(pool, name, served):
    connection = await pool.get_connection()
    served.append(name)
    await asyncio.sleep(0)
    await pool.release(connection)


async def test_who_came_first_is_served_first(pool):
    served = []
    held = await pool.get_connection()
    calls = [asyncio.create_task(use(pool, "first", served))]
    await asyncio.sleep(0)
    await pool.release(held)
    calls.append(
        asyncio.create_task(use(pool, "second", served))
    )  # the first knows of the connection, and has it not yet
    await asyncio.gather(*calls)
    assert served == ["first", "second"]


async def test_who_waits_in_vain_is_told_and_keeps_nobody_from_the_next_connection(pool):
    held = await pool.get_connection()
    with pytest.raises(NoConnectionError):
        await pool.get_connection()
    waiting = asyncio.create_task(pool.get_connection())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await pool.release(held)
    assert await asyncio.wait_for(pool.get_connection(), 5) is held
    await pool.release(held)


async def test_a_connection_that_the_server_closed_is_made_anew(redis_database):
    async with connect(redis_database) as client, connect(redis_database) as other:
        mine = await client.ask("CLIENT", "ID")
        assert await other.ask("CLIENT", "KILL", "ID", mine) == 1
        await asyncio.sleep(0.05)  # until it is known here
        assert await client.ask("CLIENT", "ID") != mine


async def test_what_a_server_says_unasked_is_no_answer(pool):
    connection = await pool.get_connection()
    await connection.send_command("ECHO", "late")
    await asyncio.sleep(0.05)  # until it is there, unread
    await pool.release(connection)
    again = await pool.get_connection()
    await again.send_command("ECHO", "asked")
    assert await again.read_response() == b"asked"
    await pool.release(again)


class Token:
    """Credentials that came while a connection was in use."""

    def try_get(self, name):
        assert name == "oid"
        return "later"

    def get_value(self):
        return "secret"


async def test_credentials_that_change_are_used_when_a_connection_is_given_back(redis_database):
    async with connect(redis_database) as admin:
        for name in ("before", "later"):
            await admin.ask("ACL", "SETUSER", name, "on", ">secret", "~*", "+@all")
        provider = UsernamePasswordCredentialProvider("before", "secret")
        app = redis.asyncio.Redis.from_url(redis_database, credential_provider=provider)
        async with take_over(app) as client:
            pool = client.connection_pool
            connection = await pool.get_connection()
            connection.set_re_auth_token(Token())
            await pool.release(connection)
            assert await pool.get_connection() is connection
            await connection.send_command("ACL", "WHOAMI")
            assert await connection.read_response() == b"later"
            await pool.release(connection)
        await app.aclose()
        await admin.ask("ACL", "DELUSER", "before", "later")

"""The database of a Supabase project, reached directly: what a migration moves in bulk goes past the API."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, NoReturn

import psycopg
from psycopg import AsyncConnection

from chatstore.errors import ChatStoreError, ConfigurationError, InvalidRecordError, UnavailableError
from chatstore.supabase.functions import Functions
from chatstore.supabase.schema import check_version
from chatstore.supabase.translation import lost_a_race, translated_database_error

_ATTEMPTS: Final = 5
_AT_ONCE: Final = 4
_ANSWER_WITHIN: Final = 120.0
# Where nobody answers any more, not even the other machine's kernel, the connection ends after half a minute.
_ALIVE: Final[dict[str, Any]] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}


class SupabaseDatabase(Functions):
    """Calls chatstore's functions over a few connections to the database, opened when they are first needed.

    Each call is one statement in a transaction of its own, prepared nowhere: so the URL may be that of a pooler, in any
    mode. Before the first call it is made sure that the database has this release's schema, and that it is the one
    behind the API: a copy of a project has the same tables, and a migration must not go to two places.
    """

    def __init__(self, url: str, api: Functions) -> None:
        """Use a database. Nothing is sent yet.

        Args:
            url: `SUPABASE_DB_URL`, of a role that passes row-level security, as Supabase's `postgres` does.
            api: The same project's API, with the secret key.
        """
        self._url = url
        self._api = api
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._idle: list[AsyncConnection] = []
        self._checking = asyncio.Lock()
        self._checked = False

    async def ask(self, function: str, request: str) -> Any:
        await self._check()
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with self._connection() as connection:
                    return await _value(connection, f"select public.{function}(%s)", request)
            except psycopg.Error as error:
                if lost_a_race(error) and attempt < _ATTEMPTS:
                    await asyncio.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 - to part rivals
                    continue
                _raise(error)
        raise AssertionError("unreachable")

    def not_ours(self) -> UnavailableError:
        return UnavailableError("what answers at SUPABASE_DB_URL is not chatstore's part of Supabase: is it right?")

    async def close(self) -> None:
        """Close the connections."""
        while self._idle:
            await self._idle.pop().close()

    async def _check(self) -> None:
        async with self._checking:
            if self._checked:
                return
            try:
                async with self._connection() as connection:
                    check_version(await _value(connection, "select public.chatstore_version()"))
                    same = await self._is_behind_the_api(connection)
            except psycopg.Error as error:
                _raise(error)
            if not same:
                raise ConfigurationError(
                    "SUPABASE_DB_URL leads to another database than SUPABASE_URL, or to a replica of it: set it to the "
                    "database of the same project"
                )
            self._checked = True

    async def _is_behind_the_api(self, connection: AsyncConnection) -> bool:
        """Whether the API sees a lock that is held here; nothing that is stored would tell a database from its copy."""
        key = random.getrandbits(62)
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(%s)", (key,))
            answer = await self._api.call("chatstore_is_locked", {"key": key})
        return bool(answer["locked"])

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        """One of the connections, for one call; it is used again if the call ended by an answer of Postgres."""
        async with self._gate:
            connection = self._idle.pop() if self._idle else await self._connected()
            try:
                async with _ended_after(connection, _ANSWER_WITHIN):
                    yield connection
            except (psycopg.Error, ChatStoreError):
                await self._take_back(connection)
                raise
            except BaseException:
                # Cancelled: what was asked may still be under way.
                await connection.close()
                raise
            await self._take_back(connection)

    async def _connected(self) -> AsyncConnection:
        return await AsyncConnection.connect(self._url, autocommit=True, prepare_threshold=None, **_ALIVE)

    async def _take_back(self, connection: AsyncConnection) -> None:
        if connection.closed or connection.broken:
            await connection.close()
        else:
            self._idle.append(connection)


async def _value(connection: AsyncConnection, query: str, *parameters: object) -> Any:
    cursor = await connection.execute(query.encode(), parameters or None)
    row = await cursor.fetchone()
    return None if row is None else row[0]


@asynccontextmanager
async def _ended_after(connection: AsyncConnection, seconds: float) -> AsyncIterator[None]:
    """End a connection that gives no answer: psycopg itself would wait, also when it is cancelled."""
    timer = asyncio.get_running_loop().call_later(seconds, _end, connection.fileno())
    try:
        yield
    finally:
        timer.cancel()


def _end(descriptor: int) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connected:
        connected.shutdown(socket.SHUT_RDWR)


def _raise(error: psycopg.Error) -> NoReturn:
    meaning = translated_database_error(error)
    # Postgres quotes the record that it refuses; that must not be seen in a traceback.
    raise meaning from (None if isinstance(meaning, InvalidRecordError) else error)

"""The database of a Supabase project, reached directly: what a migration moves in bulk goes past the API."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, NoReturn

import psycopg
from psycopg import AsyncConnection, AsyncCursor
from psycopg.pq import TransactionStatus

from chatstore.errors import ChatStoreError, ConfigurationError, UnavailableError
from chatstore.supabase.client import ServiceClient
from chatstore.supabase.functions import Functions
from chatstore.supabase.schema import check_version
from chatstore.supabase.translation import (
    has_no_connection_left,
    lost_a_race,
    tellable_database_error,
    translated_database_error,
)

_ATTEMPTS: Final = 5
_AT_ONCE: Final = 4
_ANSWER_WITHIN: Final = 120.0
# Where the server had no connection left for us: for how many seconds those that we have must do.
_MAKE_DO: Final = 5.0
# How long the server may take to give up what nobody waits for any more.
_STOP_WITHIN: Final = 1.0
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
    mode. Where the server gives no more connections, those that are open are shared.

    Before the first call it is made sure that the database has this release's schema, and that it is the one behind the
    API: a copy of a project has the same tables, and a migration must not go to two places.
    """

    def __init__(self, url: str, api: ServiceClient) -> None:
        """Use a database. Nothing is sent yet.

        Args:
            url: `SUPABASE_DB_URL`, of a role that passes row-level security, as Supabase's `postgres` does.
            api: The same project's API, with the secret key.
        """
        self._url = url
        self._api = api
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._idle: list[AsyncConnection] = []
        self._open = 0
        # Who waits for a connection that is given back; None tells that one has ended, so that there may be room.
        self._waiting: deque[asyncio.Future[AsyncConnection | None]] = deque()
        self._makes_do_until = 0.0
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

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Transaction]:
        """Yield the database as it is at one moment: a transaction that only reads.

        Raises:
            ChatStoreError: The database could not be asked; also for a psycopg error that leaves the block.
        """
        async with self._undone("begin isolation level repeatable read read only") as transaction:
            yield transaction

    @asynccontextmanager
    async def rehearsal(self) -> AsyncIterator[Transaction]:
        """Yield a transaction that may write, and whatever it wrote is undone when the block ends; as `snapshot`."""
        async with self._undone("begin") as transaction:
            yield transaction

    @asynccontextmanager
    async def _undone(self, begin: str) -> AsyncIterator[Transaction]:
        await self._check()
        try:
            async with self._connection() as connection:
                await _value(connection, begin)
                yield Transaction(connection)
                await _value(connection, "rollback")
        except psycopg.Error as error:
            _raise(error)

    def not_ours(self) -> UnavailableError:
        return UnavailableError("what answers at SUPABASE_DB_URL is not chatstore's part of Supabase: is it right?")

    async def close(self) -> None:
        """Close the connections."""
        while self._idle:
            await self._end_one(self._idle.pop())

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
        await _value(connection, "begin")
        await _value(connection, "select pg_advisory_xact_lock(%s)", key)
        answer = await self._api.call("chatstore_is_locked", {"key": key})
        await _value(connection, "rollback")
        return bool(answer["locked"])

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        """One of the connections, for one call; it is used again if the call ended by an answer of Postgres."""
        async with self._gate:
            connection = await self._taken()
            is_usable = False
            try:
                yield connection
                is_usable = True
            except (psycopg.Error, ChatStoreError):
                is_usable = True
                raise
            finally:
                # If it was cancelled, what was asked may still be under way.
                await self._give_back(connection, is_usable=is_usable)

    async def _taken(self) -> AsyncConnection:
        """An idle connection, or a new one; where there can be no more of them, the next one that is given back."""
        while not self._idle:
            if self._open == 0 or time.monotonic() >= self._makes_do_until:
                try:
                    connected = await AsyncConnection.connect(
                        self._url, autocommit=True, prepare_threshold=None, **_ALIVE
                    )
                except psycopg.Error as error:
                    if self._open == 0 or not has_no_connection_left(error):
                        raise
                    self._makes_do_until = time.monotonic() + _MAKE_DO
                else:
                    self._open += 1
                    return connected
            elif (given := await self._next_given_back()) is not None:
                return given
        return self._idle.pop()

    async def _next_given_back(self) -> AsyncConnection | None:
        given: asyncio.Future[AsyncConnection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(given)
        try:
            return await given
        except asyncio.CancelledError:
            connection = given.result() if given.done() and not given.cancelled() else None
            if connection is not None:
                await self._give_back(connection, is_usable=True)
            raise

    async def _give_back(self, connection: AsyncConnection, *, is_usable: bool) -> None:
        is_usable = is_usable and not (connection.closed or connection.broken)
        if is_usable and connection.info.transaction_status is TransactionStatus.IDLE:
            given: AsyncConnection | None = connection
        else:
            await self._end_one(connection)
            given = None
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(given)
                if given is not None:
                    return
        if given is not None:
            self._idle.append(given)

    async def _end_one(self, connection: AsyncConnection) -> None:
        self._open -= 1
        await connection.close()


class Transaction:
    """A transaction that is under way, in which statements are asked one after the other."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def rows(self, query: str, *parameters: object) -> Sequence[tuple[Any, ...]]:
        """Return the rows that a statement answers with; none where it answers with nothing.

        Raises:
            psycopg.Error: Postgres refused it, or did not answer in two minutes.
        """
        return await _rows(self._connection, query, *parameters)

    async def changed(self, query: str, *parameters: object) -> int:
        """Return how many rows a statement changed, or answers with; raises what `rows` does."""
        return (await _executed(self._connection, query, *parameters)).rowcount


async def _value(connection: AsyncConnection, query: str, *parameters: object) -> Any:
    """Return the first value that a statement answers with; None where it answers with no rows."""
    rows = await _rows(connection, query, *parameters)
    return rows[0][0] if rows else None


async def _rows(connection: AsyncConnection, query: str, *parameters: object) -> Sequence[tuple[Any, ...]]:
    cursor = await _executed(connection, query, *parameters)
    # They are here already.
    return () if cursor.description is None else await cursor.fetchall()


async def _executed(connection: AsyncConnection, query: str, *parameters: object) -> AsyncCursor:
    asked = asyncio.create_task(connection.execute(query.encode(), parameters or None))
    async with _ended_after(connection, _ANSWER_WITHIN):
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            await _stop(connection, asked)
            raise


async def _stop(connection: AsyncConnection, asked: asyncio.Task[Any]) -> None:
    """Have the server give up what it was asked, and see to it that nobody waits for it, whatever the server does.

    psycopg would see to that in up to ten seconds, if it were cancelled itself.
    """
    try:
        with suppress(psycopg.Error, TimeoutError):
            async with asyncio.timeout(_STOP_WITHIN):
                await connection.cancel_safe(timeout=_STOP_WITHIN)
                await asyncio.wait([asked])
    finally:
        if not asked.done():
            _end(connection.fileno())
        with suppress(psycopg.Error):
            await asked


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
    raise translated_database_error(error) from tellable_database_error(error)

"""Connections of one server, shared by the calls of an app: a call that finds none free waits for one."""

from __future__ import annotations

from typing import Any

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection


class WaitingPool(BlockingConnectionPool):
    """As its base, which waits where others refuse; but only who must wait pays for it.

    The client library's own pool goes through a lock, a deadline and its metrics for each command. Here that is the way
    of a call that finds all connections in use, and of those that come while it waits: first come, first served.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._waiting = 0
        # With credentials that change, a connection that is given back may have to log in again first.
        self._as_its_base = self.connection_kwargs.get("credential_provider") is not None

    async def get_connection(self, *arguments: Any, **options: Any) -> AbstractConnection:
        if self._waiting or not self.can_get_connection():
            return await self._wait(*arguments, **options)
        connection = self.get_available_connection()  # type: ignore[no-untyped-call]
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection  # type: ignore[no-any-return]

    async def release(self, connection: AbstractConnection) -> None:
        if self._waiting or self._as_its_base:
            await super().release(connection)
        else:
            self._in_use_connections.remove(connection)
            self._available_connections.append(connection)

    async def _wait(self, *arguments: Any, **options: Any) -> AbstractConnection:
        self._waiting += 1
        try:
            return await super().get_connection(*arguments, **options)  # type: ignore[no-any-return, no-untyped-call]
        finally:
            self._waiting -= 1

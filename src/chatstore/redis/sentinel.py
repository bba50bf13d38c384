"""A server that sentinels watch: whenever a connection is made, they are asked which one it is."""

from __future__ import annotations

from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool

from chatstore.redis.client import Server
from chatstore.redis.pool import WaitingPool


class WaitingSentinelPool(SentinelConnectionPool, WaitingPool):
    """Connections to the primary, where a call that finds none free waits for one."""


class WatchedServer(Server):
    """A connection to whichever server is the primary of a service.

    While the sentinels choose another one, calls fail. They are not repeated: the first one may have been done, and may
    have reached the new primary or not.

    Attributes:
        sentinels: The sentinels' own connections, where they were made for this one.
    """

    sentinels: Sentinel | None = None

    @property
    def address(self) -> str:
        pool = self.connection_pool
        assert isinstance(pool, SentinelConnectionPool)  # noqa: S101 - as it was made
        at = f" ({pool.master_address[0]}:{pool.master_address[1]})" if pool.master_address else ""
        return f"the sentinels' service {pool.service_name}{at}"

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001 - as the client library's
        await super().aclose(close_connection_pool)
        if self.sentinels is not None:
            await self.sentinels.aclose()

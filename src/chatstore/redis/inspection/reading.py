"""A connection that cannot write: whatever is asked through it, nothing in the database changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from chatstore.redis.client import Argument, Client

_READS = frozenset(
    {
        "DBSIZE",
        "DUMP",
        "FT.AGGREGATE",
        "FT.INFO",
        "FT.SEARCH",
        "FT._LIST",
        "GET",
        "GETRANGE",
        "HGET",
        "HGETALL",
        "HKEYS",
        "HLEN",
        "HMGET",
        "HRANDFIELD",
        "HSTRLEN",
        "INFO",
        "JSON.GET",
        "JSON.MGET",
        "JSON.OBJKEYS",
        "JSON.TYPE",
        "LLEN",
        "LRANGE",
        "MEMORY",
        "PEXPIRETIME",
        "PTTL",
        "SCAN",
        "SCARD",
        "SRANDMEMBER",
        "STRLEN",
        "TIME",
        "TYPE",
        "VCARD",
        "VDIM",
        "VEMB",
        "VGETATTR",
        "VINFO",
        "VRANDMEMBER",
        "VRANGE",
        "XLEN",
        "ZCARD",
        "ZRANGE",
        "ZSCORE",
    }
)
_READ_ONLY_SCRIPTS = {"EVAL": "EVAL_RO", "EVALSHA": "EVALSHA_RO"}


class Reader(Client):
    """Passes on what only reads. Scripts run as read-only ones, in which the server refuses every write.

    Args:
        client: The connection.
        per_second: How many commands a second it sends at most; None: as many as it can.
    """

    is_cluster: ClassVar[bool] = False

    def __init__(self, client: Client, per_second: float | None = None) -> None:
        self._client = client
        self._pause = 0.0 if per_second is None else 1.0 / per_second
        self._free_at = time.monotonic()

    @property
    def address(self) -> str:
        return self._client.address

    async def ask(self, *command: Argument) -> Any:
        await self.wait_for_turn(1)
        return await self._client.ask(*_reading(command))

    async def ask_all(self, commands: Iterable[Sequence[Argument]]) -> list[Any]:
        asked = [_reading(command) for command in commands]
        await self.wait_for_turn(len(asked))
        return await self._client.ask_all(asked)

    async def load(self, script: str) -> None:
        """As `Client.load`: the server keeps the script beside the database, not in it."""
        await self._client.load(script)

    async def aclose(self) -> None:
        """Do nothing: the connection is its owner's."""

    async def wait_for_turn(self, commands: int) -> None:
        """Return when so many commands may be sent."""
        now = time.monotonic()
        if now < self._free_at:
            await asyncio.sleep(self._free_at - now)
        self._free_at = max(now, self._free_at) + commands * self._pause


class ClusterReader(Reader):
    """A reader of a cluster."""

    is_cluster: ClassVar[bool] = True


def reader_of(client: Client, per_second: float | None = None) -> Reader:
    """Return a reader of the server or the cluster that a connection is to; arguments as of `Reader`."""
    return (ClusterReader if client.is_cluster else Reader)(client, per_second)


def _reading(command: Sequence[Argument]) -> Sequence[Argument]:
    name = str(command[0]).upper()
    if name in _READ_ONLY_SCRIPTS:
        return [_READ_ONLY_SCRIPTS[name], *command[1:]]
    if name not in _READS:
        raise AssertionError(f"{name} is none of the commands that an inspection may use")
    return command

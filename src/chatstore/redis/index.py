"""Whose records are whose: an index a user, for layouts that have none."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from redis.exceptions import RedisError

from chatstore.errors import ChatStoreError
from chatstore.models import from_micros
from chatstore.models.paging import parse_place, place_behind
from chatstore.redis.client import Client, our_error
from chatstore.redis.keys import LedgerKeys
from chatstore.redis.scripts import Call, run, script

_MAX_AGE = 900.0
_LOOK_AGAIN = 60.0
_BUILD_SECONDS = 600
_UNDER_WAY = 60.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """A record in a user's index: its id, and when it was last written (microseconds)."""

    id: bytes
    score: float

    @property
    def cursor(self) -> str:
        """What the `next` of a page says when this is its last record."""
        return place_behind(from_micros(int(self.score)), self.id.decode())


@dataclass(frozen=True, slots=True)
class Owned:
    """A record of the index: whose it is, its id, and when it was last written."""

    user_id: bytes
    place: Place


class UserIndex:
    """The ids of each user's records, by when they were last written.

    Every write of ours keeps it in its own step; on a cluster, where it lies elsewhere, just before. What other
    programs write is found by reading all keys: once before the first answer, and again in the background when that is
    more than 15 minutes ago. So a record that another program made may be missing from lists for that long, and one
    that it touched may stand at its older place. It never shows a record that is gone or another user's, as whoever
    reads it looks at the record itself.

    Args:
        client: The connection.
        keys: The ledger's names.
        walk: Walks over the ids of all records, a batch at a time; None when only we write them, so that the index is
            always whole.
        owners: Looks up many records by id; leaves out those that it cannot read.
    """

    def __init__(
        self,
        client: Client,
        keys: LedgerKeys,
        walk: Callable[[], AsyncIterator[Sequence[bytes]]] | None,
        owners: Callable[[Sequence[bytes]], Awaitable[Sequence[Owned]]],
    ) -> None:
        self._client = client
        self._keys = keys
        self._walk = walk
        self._owners = owners
        self._look_at = 0.0
        self._building: asyncio.Task[None] | None = None

    async def page(self, user_id: str, limit: int, after: str | None) -> list[Place]:
        """Return places, newest first (ties by id, descending), behind a cursor or from the newest on.

        Raises:
            InvalidRecordError: `after` is not the `next` of a page.
        """
        score, record_id = ("", "") if after is None else parse_place(after)
        await self._refresh()
        call = Call(script("values", "index_page"), [self._keys.index(user_id.encode())], [limit, score, record_id])
        flat = await run(self._client, call)
        return [Place(flat[i], float(flat[i + 1])) for i in range(0, len(flat), 2)]

    async def places(self, user_id: str, batch: int) -> AsyncIterator[list[Place]]:
        """Yield all of a user's places, a batch at a time."""
        after: str | None = None
        while places := await self.page(user_id, batch, after):
            yield places
            after = places[-1].cursor

    async def drop(self, user_id: str, ids: Sequence[bytes]) -> None:
        """Remove records that turned out to be gone.

        One that was noted a moment ago stays: it may be there again since one looked, and on a cluster the index is
        written before the record.
        """
        if ids:
            key = self._keys.index(user_id.encode())
            before = (time.time() - _UNDER_WAY) * 1_000_000
            await run(self._client, Call(script("values", "index_drop"), [key], [f"{before:.0f}", len(ids), *ids]))

    async def note(self, records: Sequence[Owned]) -> None:
        """Note where users' records stand, unless they stand further ahead already."""
        if not records:
            return
        commands = [("ZADD", self._keys.index(one.user_id), "GT", one.place.score, one.place.id) for one in records]
        for reply in await self._client.ask_all(commands):
            if isinstance(reply, RedisError):
                raise our_error(reply, self._client) from reply

    async def close(self) -> None:
        """End the building that may be under way."""
        if self._building is not None:
            self._building.cancel()
            await asyncio.gather(self._building, return_exceptions=True)

    async def _refresh(self) -> None:
        if self._walk is None or time.monotonic() < self._look_at:
            return
        built_at = await self._client.ask("GET", self._keys.indexed)
        if built_at is None:
            await self._build(self._walk)
        elif time.time() - float(built_at) > _MAX_AGE and (self._building is None or self._building.done()):
            self._building = asyncio.create_task(self._build_alone(self._walk))
        self._look_at = time.monotonic() + _LOOK_AGAIN

    async def _build_alone(self, walk: Callable[[], AsyncIterator[Sequence[bytes]]]) -> None:
        try:
            if await self._client.ask("SET", self._keys.building, 1, "NX", "EX", _BUILD_SECONDS):
                await self._build(walk)
        except ChatStoreError as error:
            logger.warning("the indexes could not be built anew, and will be at a later read: %s", error)

    async def _build(self, walk: Callable[[], AsyncIterator[Sequence[bytes]]]) -> None:
        begun = time.time()
        async for ids in walk():
            owned = await self._owners(list(filter(_is_id, ids)))
            # Only forward: a write of ours may have been here meanwhile.
            await self._client.ask_all(
                ("ZADD", self._keys.index(record.user_id), "GT", record.place.score, record.place.id)
                for record in owned
            )
        await self._client.ask("SET", self._keys.indexed, f"{begun:.0f}")
        await self._client.ask("DEL", self._keys.building)


def _is_id(record_id: bytes) -> bool:
    try:
        return bool(record_id.decode())
    except UnicodeDecodeError:
        return False

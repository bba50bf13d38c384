"""Messages that no session lists: where a layout has a key for each, nobody would ever come by them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import orjson
from redis.exceptions import RedisError

from chatstore.errors import LayoutError
from chatstore.models import Quarantined
from chatstore.redis.client import Client
from chatstore.redis.failures import quarantined, raw_of
from chatstore.redis.layouts.layout import Orphans
from chatstore.redis.scanning import Step, scan_keys

_STEP = 500
_NAMES = 1000


@dataclass(slots=True)
class Census:
    """Some messages by their keys, as numbers that tell all but surely whether two of these are of the same messages.

    Attributes:
        count: How many they are.
        total: The sum of what stands for each in this process: a message that comes twice makes up for no other.
    """

    count: int = 0
    total: int = 0

    def add(self, keys: Sequence[bytes]) -> None:
        """Take in messages by their keys."""
        self.count += len(keys)
        self.total += sum(map(hash, keys))


class OrphanSearch:
    """Looks for the messages that no session lists.

    Args:
        client: The connection.
        prefix: What the keys of the sessions begin with.
        orphans: Where messages may lie.
    """

    def __init__(self, client: Client, prefix: bytes, orphans: Orphans) -> None:
        self._client = client
        self._prefix = prefix
        self._orphans = orphans

    async def listed(self, session_ids: Sequence[bytes], census: Census) -> None:
        """Add to a census those messages that sessions list and that are there."""
        heads = self._orphans.prefix
        listings = await self._fields([(self._prefix + name, self._orphans.listing_field) for name in session_ids])
        groups = [group for raw in listings if (group := list({heads + one for one in _ids(raw)}))]
        there = await self._client.ask_all(("EXISTS", *group) for group in groups)
        for group, found in zip(groups, there, strict=True):
            if found == len(group):
                census.add(group)
            else:
                each = await self._client.ask_all(("EXISTS", key) for key in group)
                census.add([key for key, one in zip(group, each, strict=True) if one == 1])

    async def all(self) -> Census:
        """Return the census of all messages that there are."""
        census = Census()
        async for step in scan_keys(self._client, self._orphans.prefix, 0, wanted=_NAMES):
            census.add(step.keys)
        return census

    async def steps(self, position: int) -> AsyncIterator[tuple[Step, list[Quarantined]]]:
        """Yield the messages from a cursor of `scan_keys` on, with those of each part that no session lists."""
        async for step in scan_keys(self._client, self._orphans.prefix, position, wanted=_STEP):
            yield step, await self.of(step.keys)

    async def of(self, keys: Sequence[bytes]) -> list[Quarantined]:
        """Return those of some messages that their sessions do not list.

        A message is read before its session's list: one that is being appended is then listed for sure.
        """
        orphans = self._orphans
        owners = await self._fields([(key, orphans.session_field) for key in keys])
        names = list({owner for owner in owners if isinstance(owner, bytes)})
        listings = await self._fields([(self._prefix + name, orphans.listing_field) for name in names])
        listed = {(name, one) for name, raw in zip(names, listings, strict=True) for one in _ids(raw)}
        lost = [
            key for key, owner in zip(keys, owners, strict=True) if (owner, key[len(orphans.prefix) :]) not in listed
        ]
        return [record for key in lost if (record := await self._told(key)) is not None]

    async def _told(self, key: bytes) -> Quarantined | None:
        kind = await self._client.ask("TYPE", key)
        if kind == b"none":
            return None
        if kind == b"hash":
            held = await self._client.ask("HGETALL", key)
            raw, reason = raw_of([part for pair in held.items() for part in pair]), "no session lists this message"
        else:
            raw = await self._client.ask("GET" if kind == b"string" else "DUMP", key)
            reason = f"a hash was expected, but this is a {kind.decode()}"
        return quarantined(LayoutError(key, raw or b"", reason))

    async def _fields(self, wanted: Sequence[tuple[bytes, str]]) -> list[bytes | RedisError | None]:
        return await self._client.ask_all(("HGET", key, name) for key, name in wanted)


def _ids(raw: bytes | RedisError | None) -> list[bytes]:
    if not isinstance(raw, bytes):
        return []
    try:
        listed = orjson.loads(raw)
    except ValueError:
        return []
    return [str(one).encode() for one in listed] if isinstance(listed, list) else []

"""Walking over all keys with a prefix, by the server's own cursor."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from redis.exceptions import NoPermissionError, RedisError

from chatstore.errors import UnavailableError
from chatstore.redis.client import Client, our_error
from chatstore.redis.ground import ground_of

_COUNT, _MOST = 100, 1000
_BITS = 64
"""More than the server's own cursors have. Above them, a cursor of ours says in which run of the server it is one."""
_RUN_BITS = 160
_INDEX_BITS = 16


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the keys.

    Attributes:
        keys: The keys, each once in this part.
        cursor: The cursor that this part was read from.
        following: The cursor of the next part; 0 when this is the last.
    """

    keys: list[bytes]
    cursor: int
    following: int


@dataclass(slots=True)
class _Place:
    """Where a walk is.

    Attributes:
        shape: How the keys were spread over the servers; 0 for a single server.
        index: On which of the servers it is.
        run: Which run of that server its own cursor is one of.
        cursor: The server's own cursor.
    """

    shape: int = 0
    index: int = 0
    run: int = 0
    cursor: int = 0

    @classmethod
    def of(cls, number: int) -> _Place:
        """Return the place that a number stands for."""
        number, cursor = divmod(number, 1 << _BITS)
        number, run = divmod(number, 1 << _RUN_BITS)
        shape, index = divmod(number, 1 << _INDEX_BITS)
        return cls(shape, index, run, cursor)

    def __int__(self) -> int:
        number = (self.shape << _INDEX_BITS | self.index) << _RUN_BITS | self.run
        return number << _BITS | self.cursor


async def starts(client: Client) -> list[int]:
    """Return where walks over a `part` of the keys begin: on each primary of a cluster, or on the one server."""
    ground = await ground_of(client)
    return [int(_Place(ground.shape, index)) for index in range(len(ground.servers))]


def start_of_part(cursor: int) -> int:
    """Return where the walk over a part began of which this is a cursor."""
    place = _Place.of(cursor)
    return int(_Place(place.shape, place.index))


async def scan_keys(
    client: Client, prefix: bytes, cursor: int, *, wanted: int, kind: str | None = None, part: bool = False
) -> AsyncIterator[Step]:
    """Yield the keys with a prefix; `cursor` 0 begins.

    The last part is always yielded, even when it is empty. A key that is there all the time comes at least once. A
    cursor of a server that was started again since means nothing any more, as its keys lie in another order: then all
    keys come again. So they do where a cluster's slots have moved since. On a cluster each primary is walked over.

    Args:
        client: The connection.
        prefix: What the keys begin with.
        cursor: Where to begin: a `Step.following`.
        wanted: How many keys make a part; it may have twice as many where all keys have the prefix, some hundreds more
            where few do, and the last one fewer.
        kind: Only keys of this type, by the name that `TYPE` gives it.
        part: End where this server's keys do: `cursor` is one of `starts`, or of a walk that began there. Where a
            cluster's slots have moved since, no part is what it was: then, too, all keys come.

    Raises:
        UnavailableError: A server did not answer, or was started again in the middle, or a cluster's slots are being
            moved: begin again.
    """
    pattern = escaped(prefix) + b"*"
    of_kind = () if kind is None else ("TYPE", kind)
    ground = await ground_of(client)
    place = _Place.of(cursor)
    last = len(ground.servers)
    if place.shape != ground.shape:
        place = _Place(ground.shape)
    elif part:
        last = place.index + 1
    start, keys, count = cursor, dict[bytes, None](), max(wanted, _COUNT)
    while True:
        command = ("SCAN", place.cursor, "MATCH", pattern, "COUNT", count, *of_kind)
        server = ground.servers[place.index]
        # In one round trip, on one connection, so that it is this server's run.
        answer, about, *nodes = await server.ask_all([command, ("INFO", "server"), *ground.questions])
        for one in (answer, about):
            if isinstance(one, NoPermissionError) or (one is answer and isinstance(one, RedisError)):
                raise our_error(one, server) from one
        ground.check(nodes)
        run = _run(about)
        if place.cursor and run != place.run:
            if keys or start != cursor:
                raise UnavailableError("the Redis server was started again in the middle of a scan: begin it again")
            start, place = (start_of_part(cursor) if part else 0), _Place(ground.shape, place.index if part else 0)
            continue
        place.run, (following, found) = run, answer
        place.cursor = int(following)
        keys.update(dict.fromkeys(found))
        # Where most keys are others', more are looked at in a round trip.
        count = min(2 * count, max(wanted, _MOST)) if len(found) < wanted // 4 else max(wanted, _COUNT)
        # The server's cursor is 0 at the end, though it was 0 at the beginning.
        if not place.cursor:
            place = _Place(ground.shape, place.index + 1)
        is_last = place.index == last
        if is_last or len(keys) >= wanted:
            reached = 0 if is_last else int(place)
            yield Step(list(keys), start, reached)
            start, keys = reached, {}
        if is_last:
            return


def _run(about: object) -> int:
    """Return the number of a server's run, which is another one after each start; 0 where the server does not say."""
    told = about.get("run_id") if isinstance(about, Mapping) else None
    return int(told, 16) if isinstance(told, str) else 0


def escaped(prefix: bytes) -> bytes:
    """Return a pattern that stands for just this text."""
    return re.sub(rb"[*?\[\]\\^-]", rb"\\\g<0>", prefix)

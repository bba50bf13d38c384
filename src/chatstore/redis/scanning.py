"""Walking over all keys with a prefix, by the server's own cursor."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from redis.exceptions import RedisError

from chatstore.errors import UnavailableError
from chatstore.redis.client import Client, our_error

_COUNT = 100
_PLACES = 2**64
"""More than the server's own cursors can be: above them, a cursor of ours says in which run of the server it is one."""


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


async def scan_keys(
    client: Client, prefix: bytes, cursor: int, *, wanted: int, kind: str | None = None
) -> AsyncIterator[Step]:
    """Yield the keys with a prefix; `cursor` 0 begins.

    The last part is always yielded, even when it is empty. A key that is there all the time comes at least once. A
    cursor of a server that was started again since means nothing any more, as its keys lie in another order: then all
    keys come again.

    Args:
        client: The connection.
        prefix: What the keys begin with.
        cursor: Where to begin: a `Step.following`.
        wanted: How many keys make a part; it may have twice as many, and the last one fewer.
        kind: Only keys of this type, by the name that `TYPE` gives it.

    Raises:
        UnavailableError: The server did not answer, or was started again in the middle: begin again.
    """
    pattern = escaped(prefix) + b"*"
    run, place = divmod(cursor, _PLACES)
    start, keys = cursor, dict[bytes, None]()
    of_kind = () if kind is None else ("TYPE", kind)
    while True:
        command = ("SCAN", place, "MATCH", pattern, "COUNT", max(wanted, _COUNT), *of_kind)
        # In one round trip, on one connection, so that it is this server's run.
        answer, about = await client.ask_all([command, ("INFO", "server")])
        if isinstance(answer, RedisError):
            raise our_error(answer, client) from answer
        present = _run(about)
        if place and run != present:
            if keys or start != cursor:
                raise UnavailableError("the Redis server was started again in the middle of a scan: begin it again")
            start = place = 0
            continue
        run, (following, found) = present, answer
        place = int(following)
        keys.update(dict.fromkeys(found))
        # The cursor is 0 at the end, though it was 0 at the beginning.
        if not place or len(keys) >= wanted:
            reached = run * _PLACES + place if place else 0
            yield Step(list(keys), start, reached)
            start, keys = reached, {}
        if not place:
            return


def _run(about: object) -> int:
    """Return the number of a server's run, which is another one after each start; 0 where the server does not say."""
    told = about.get("run_id") if isinstance(about, Mapping) else None
    return int(told, 16) if isinstance(told, str) else 0


def escaped(prefix: bytes) -> bytes:
    """Return a pattern that stands for just this text."""
    return re.sub(rb"[*?\[\]\\^-]", rb"\\\g<0>", prefix)


async def scan_ids(client: Client, prefix: bytes, *, wanted: int) -> AsyncIterator[list[bytes]]:
    """Yield what follows the prefix in all keys that have it, as `scan_keys` does."""
    async for step in scan_keys(client, prefix, 0, wanted=wanted):
        yield [key[len(prefix) :] for key in step.keys]

"""Walking over all keys with a prefix, by the server's own cursor."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from chatstore.redis.client import Client

_COUNT = 100


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


async def scan_keys(client: Client, prefix: bytes, cursor: int, *, wanted: int) -> AsyncIterator[Step]:
    """Yield the keys with a prefix, of any type; `cursor` 0 begins.

    The last part is always yielded, even when it is empty. A key that is there all the time comes at least once.

    Args:
        client: The connection.
        prefix: What the keys begin with.
        cursor: Where to begin: a `Step.following`.
        wanted: How many keys make a part; it may have twice as many, and the last one fewer.
    """
    pattern = escaped(prefix) + b"*"
    start, keys = cursor, dict[bytes, None]()
    while True:
        cursor, found = await client.ask("SCAN", cursor, "MATCH", pattern, "COUNT", max(wanted, _COUNT))
        keys.update(dict.fromkeys(found))
        # The cursor is 0 at the end, though it was 0 at the beginning.
        ended = int(cursor) == 0
        if ended or len(keys) >= wanted:
            yield Step(list(keys), start, int(cursor))
            start, keys = int(cursor), {}
        if ended:
            return


def escaped(prefix: bytes) -> bytes:
    """Return a pattern that stands for just this text."""
    return re.sub(rb"[*?\[\]\\^-]", rb"\\\g<0>", prefix)

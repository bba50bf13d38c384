"""Walking over all keys with a prefix, by the server's own cursor."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from chatstore.redis.client import Client

_COUNT = 1000


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


async def scan_keys(client: Client, prefix: bytes, cursor: int) -> AsyncIterator[Step]:
    """Yield the keys with a prefix, of any type, in parts; `cursor` 0 begins.

    The last part is always yielded, even when it is empty. A key that is there all the time comes at least once.
    """
    while True:
        following, keys = await client.ask("SCAN", cursor, "MATCH", _escaped(prefix) + b"*", "COUNT", _COUNT)
        if keys or following == 0:
            yield Step(list(dict.fromkeys(keys)), cursor, following)
        if following == 0:
            return
        cursor = following


def _escaped(prefix: bytes) -> bytes:
    return re.sub(rb"[*?\[\]\\^-]", rb"\\\g<0>", prefix)

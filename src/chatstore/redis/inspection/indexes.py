"""The search indexes of a server, where it has any and lets them be seen."""

from __future__ import annotations

from collections.abc import Sequence

from redis.exceptions import RedisError

from chatstore.errors import ChatStoreError
from chatstore.redis.inspection.peeking import said_by
from chatstore.redis.inspection.reading import Reader
from chatstore.redis.layouts.search_index import SearchIndex, ask_for_index

_AT_MOST = 200


async def all_indexes(reader: Reader) -> tuple[list[SearchIndex], str | None]:
    """Return what the server says of its indexes, and why it does not say all; None where it does, or has no search."""
    [answer] = await reader.ask_all([("FT._LIST",)])
    if isinstance(answer, RedisError):
        return [], None if "unknown command" in str(answer).lower() else said_by(answer)
    names = [raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else str(raw) for raw in answer or ()]
    found: list[SearchIndex] = []
    for name in sorted(names)[:_AT_MOST]:
        try:
            index = await ask_for_index(reader, name)
        except ChatStoreError as error:
            return found, str(error)
        if index is not None:
            found.append(index)
    left = len(names) - _AT_MOST
    return found, f"{left} more than were asked for" if left > 0 else None


def covering(indexes: Sequence[SearchIndex], prefix: bytes) -> SearchIndex | None:
    """Return the index that covers the keys with a prefix: of several, the one that says most of it."""
    fitting = [
        (len(raw), index)
        for index in indexes
        for raw in (own.encode("utf-8", "surrogateescape") for own in index.prefixes)
        if raw and prefix.startswith(raw)
    ]
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None

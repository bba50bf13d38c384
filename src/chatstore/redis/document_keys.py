"""The keys of all documents, in pages whose documents can be read at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from chatstore.errors import LayoutError
from chatstore.models import DocumentKey, KeyPage, Quarantined
from chatstore.redis.client import Client
from chatstore.redis.document_calls import DocumentCalls
from chatstore.redis.document_peek import peek_all
from chatstore.redis.failures import quarantined
from chatstore.redis.scripts import Reply, run

_WANTED = 1000
_MOST = 1250
"""A server gives a few keys more than it is asked for: a page is to have them, too, and not to be cut into halves."""
_AT_ONCE = 200
_A_REPLY = 131_072
_ROOM = 16 * 1024 * 1024
"""How many bytes the documents of one page may have, so that whoever reads them needs bounded memory."""


async def keys(
    client: Client, calls: DocumentCalls, cursor: str | None, *, passes_over: Callable[[Reply], None]
) -> AsyncIterator[KeyPage[DocumentKey]]:
    """Yield the keys of all documents, as `DocumentSide.keys` says.

    A document of which nobody can tell whose it is, or when it was written, is quarantined here.

    Args:
        client: The connection.
        calls: Of the layout.
        cursor: Where to go on.
        passes_over: Is told of each record that is no document of this layout.
    """
    async for step in calls.layout.walk(client, cursor, _WANTED):
        found: list[tuple[DocumentKey, int]] = []
        bad: list[Quarantined] = []
        for start in range(0, len(step.ids), _AT_ONCE):
            ids = step.ids[start : start + _AT_ONCE]
            replies = await peek_all(client, calls, ids, sized=True, room=_A_REPLY)
            for name, weighed in zip(ids, replies, strict=True):
                reply = await run(client, calls.weigh(name)) if weighed[0] == b"large" else weighed
                if reply[0] == b"other":
                    passes_over(reply)
                    continue
                try:
                    told = calls.reply(reply, name)
                    if told is not None and told.updated is not None:
                        found.append((calls.key(told, name), calls.weight(told)))
                except LayoutError as error:
                    bad.append(await _whole(client, calls, name, error))
        *others, last = _portions(list(dict(found).items()))
        for portion in others:
            # Not the last of this step: whoever goes on behind it begins with the step.
            yield KeyPage(portion, (), cursor)
        yield KeyPage(last, tuple(bad), step.cursor)
        cursor = step.cursor


async def _whole(client: Client, calls: DocumentCalls, name: bytes, error: LayoutError) -> Quarantined:
    """Return the quarantine entry of an unreadable document with what lies there, of which not all was read."""
    try:
        told = calls.reply(await run(client, calls.read(name, None)), name)
        if told is not None:
            calls.key(told, name)
    except LayoutError as found:
        return quarantined(found)
    return quarantined(error)


def _portions(found: Sequence[tuple[DocumentKey, int]]) -> Iterator[tuple[DocumentKey, ...]]:
    """Yield keys in portions of about the same number, but for large documents, of which a portion has few."""
    pages = -(-len(found) // _MOST) or 1
    number = -(-len(found) // pages)
    portion: list[DocumentKey] = []
    weight = 0
    for key, size in found:
        if portion and (len(portion) == number or weight + size > _ROOM):
            yield tuple(portion)
            portion, weight = [], 0
        portion.append(key)
        weight += size
    yield tuple(portion)

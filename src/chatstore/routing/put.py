"""Putting a batch into a side that may refuse one record of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from chatstore.errors import ChatStoreError, ConflictError, InvalidRecordError
from chatstore.models import ChatChange, DocumentChange, Quarantined, Side

C = TypeVar("C", bound=ChatChange | DocumentChange)


async def put_each(
    put: Callable[[Sequence[C]], Awaitable[None]], side: Side, changes: Sequence[C]
) -> list[Quarantined]:
    """Put all changes that `side` takes and return the others; a refused batch is halved until the one is found.

    Raises:
        UnavailableError: The side did not answer.
    """
    if not changes:
        return []
    try:
        await put(changes)
    except (ConflictError, InvalidRecordError) as error:
        if len(changes) == 1:
            return [refused(key_of(changes[0]), side, error)]
        middle = len(changes) // 2
        first = await put_each(put, side, changes[:middle])
        return first + await put_each(put, side, changes[middle:])
    return []


def key_of(change: ChatChange | DocumentChange) -> str:
    """Return the id of the session or the document that a change is about."""
    return change.session_id if isinstance(change, ChatChange) else change.key.id


def refused(key: str, side: Side, error: ChatStoreError) -> Quarantined:
    """Return the quarantine record of a key that `side` would not take."""
    return Quarantined(key=key, reason=f"the {side} side cannot take it: {error}", raw=b"", size=0)

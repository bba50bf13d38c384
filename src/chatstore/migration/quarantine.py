"""Making quarantine entries of what a side refused, and finding it in a batch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from chatstore.errors import ChatStoreError, ConflictError, InvalidRecordError
from chatstore.models import DocumentChange, Embedding, Message, Quarantined, Session

T = TypeVar("T")

RAW_LIMIT = 64 * 1024


async def refused_of(
    items: Sequence[T], put: Callable[[Sequence[T]], Awaitable[None]]
) -> list[tuple[T, ChatStoreError]]:
    """Put items, and return those that the side refuses, each with the refusal; all others were put.

    A refused batch is halved until the refused item stands alone, so one bad record in n costs about 2 log2(n) more
    calls, and a good batch none.
    """
    if not items:
        return []
    try:
        await put(items)
    except (InvalidRecordError, ConflictError) as error:
        if len(items) == 1:
            return [(items[0], error)]
        middle = len(items) // 2
        return [*await refused_of(items[:middle], put), *await refused_of(items[middle:], put)]
    return []


def refusal(key: str, record: Session | Message | DocumentChange | None, error: ChatStoreError) -> Quarantined:
    """Return the quarantine entry of a record that a side refused; its raw bytes are the record as JSON."""
    raw = _encoded(record)
    return Quarantined(key=key, reason=str(error), raw=raw[:RAW_LIMIT], size=len(raw))


def _encoded(record: object) -> bytes:
    try:
        # As ASCII, because what was refused may hold what UTF-8 cannot.
        return json.dumps(record, default=_plain).encode("ascii")
    except (RecursionError, ValueError, TypeError) as error:
        return f"cannot be written as JSON: {error}".encode()


def _plain(value: object) -> object:
    if isinstance(value, Embedding):
        return list(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"a {type(value).__name__}")

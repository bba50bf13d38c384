"""Putting a batch into a side that may refuse some of it: that goes to quarantine, and the rest is put."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias, TypeVar

from chatstore.errors import ChatStoreError, ConflictError, InvalidRecordError
from chatstore.models import ChatChange, DocumentChange, Embedding, Message, Quarantined, Session
from chatstore.models.names import ChatKey, document_name

T = TypeVar("T")

RAW_LIMIT = 64 * 1024


Put: TypeAlias = Callable[[Sequence[T]], Awaitable[None]]
"""Joins items into a side, all or an error."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that a side refused.

    Attributes:
        entry: The record, for the quarantine.
        messages: How many messages were refused with it: a session that is refused takes its messages along.
        header: Whether it is the session itself, or the document, and not only one of a session's messages.
    """

    entry: Quarantined
    messages: int = 0
    header: bool = True


async def put_chat(put: Put[ChatChange], changes: Sequence[ChatChange]) -> list[Refusal]:
    """Put sessions and messages, and return what the side refuses; of a session that it takes, single messages only.

    Args:
        put: Joins changes into the side, all or none.
        changes: What to put.

    Raises:
        UnavailableError: The side did not answer; any number of them were put.
    """
    refusals: list[Refusal] = []
    for change, error in await _refused(changes, put):
        refusals += await _put_apart(change, error, put)
    return refusals


async def put_documents(put: Put[DocumentChange], changes: Sequence[DocumentChange]) -> list[Refusal]:
    """Put documents, and return those that the side refuses.

    Args:
        put: Joins changes into the side, all or none.
        changes: What to put.

    Raises:
        UnavailableError: The side did not answer; any number of them were put.
    """
    return [Refusal(_entry(document_name(change.key), change, error)) for change, error in await _refused(changes, put)]


async def _put_apart(change: ChatChange, error: ChatStoreError, put: Put[ChatChange]) -> list[Refusal]:
    """Put a refused session without its messages, and then those that can be taken."""
    # A part of what was read: it proves nothing of the whole.
    header = replace(change, messages=(), fingerprint=None)

    async def put_messages(messages: Sequence[Message]) -> None:
        await put([replace(header, messages=tuple(messages))])

    if not change.messages or await _refused([header], put):
        entry = _entry(str(ChatKey(change.session_id)), change.session, error)
        return [Refusal(entry, messages=len(change.messages))]
    return [
        Refusal(_entry(str(ChatKey.of(message)), message, reason), messages=1, header=False)
        for message, reason in await _refused(change.messages, put_messages)
    ]


async def _refused(items: Sequence[T], put: Put[T]) -> list[tuple[T, ChatStoreError]]:
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
        return [*await _refused(items[:middle], put), *await _refused(items[middle:], put)]
    return []


def _entry(key: str, record: Session | Message | DocumentChange | None, error: ChatStoreError) -> Quarantined:
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

"""Removing for good what has expired, beside an app and a migration that go on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from chatstore.errors import BusyError, UnavailableError
from chatstore.interfaces import ChatSide, DocumentSide
from chatstore.migration.announced import DEADLINE_SECONDS
from chatstore.migration.reading import closing
from chatstore.models import DocumentKey, Side, Swept
from chatstore.routing import Sides, announcements, settle, withdraw

_OP = "sweep"


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentsSwept:
    """What a sweep of documents removed.

    Attributes:
        documents: How many documents.
        left: How many had to be left, because somebody was writing them all the time.
    """

    documents: int = 0
    left: int = 0


async def sweep_chat(side: ChatSide, *, batch: int = 10_000) -> Swept:
    """Remove all sessions and messages of a side that have expired, batch by batch; return what was removed.

    What somebody is writing at the time is left for the next sweep.

    Raises:
        UnavailableError: The server did not answer; a part was removed.
    """
    swept = await side.sweep(limit=batch)
    while swept.more:
        swept += await side.sweep(limit=batch)
    return swept


async def sweep_documents(side: DocumentSide, other: DocumentSide | None = None) -> DocumentsSwept:
    """Remove all documents of a side that have expired, some at a time; return what was removed.

    Args:
        side: The side to sweep.
        other: The other one, while there is one: where `side` is not atomic, others may be bringing it documents.

    Raises:
        UnavailableError: A server did not answer; a part was removed.
    """
    swept = DocumentsSwept()
    async with closing(side.expired()) as found:
        async for keys in found:
            try:
                removed = await _removed(side, other, keys)
                swept = replace(swept, documents=swept.documents + removed)
            except BusyError:
                swept = replace(swept, left=swept.left + len(keys))
    return swept


async def _removed(side: DocumentSide, other: DocumentSide | None, keys: Sequence[DocumentKey]) -> int:
    """Remove some documents, announced as a put is: see `announced`. Without another side there is nobody to tell."""
    if side.atomic or other is None:
        return await side.remove_expired(keys)
    sides = Sides(other, side) if side.side is Side.NEW else Sides(side, other)
    marks = announcements(keys, side.side, _OP)
    await side.journal.add(marks)
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            removed = await side.remove_expired(keys)
    except TimeoutError as error:
        raise UnavailableError(f"{len(keys)} documents were not removed in {DEADLINE_SECONDS:.0f} s") from error
    except BusyError:
        await withdraw(sides, marks)
        raise
    await withdraw(sides, await settle(sides, marks, exclusive=True))
    return removed

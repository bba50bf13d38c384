"""Counting records: how heavy a batch is, how many there were, how many are to come."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from chatstore.errors import ChatStoreError
from chatstore.migration.reporter import Reporter
from chatstore.migration.reports import Tally
from chatstore.models import ChatChange, DocumentChange

C = TypeVar("C")

# A record that is larger counts for several, so that a batch is bounded in bytes, too.
_ORDINARY_SIZE = 8192

_log = logging.getLogger(__name__)


def weight_of_chat(changes: Sequence[ChatChange]) -> int:
    """Return how many records of ordinary size some sessions and messages are, about: the measure of a put."""
    return sum(1 + sum(1 + len(m.content) // _ORDINARY_SIZE for m in change.messages) for change in changes)


class Counter(ABC, Generic[C]):
    """Counts the records of one scan."""

    @abstractmethod
    def weigh(self, changes: Sequence[C]) -> int:
        """Return how many records of ordinary size these are, about: the measure of a batch."""

    @abstractmethod
    def tally(self, changes: Sequence[C]) -> Tally:
        """Return how many records these are; to be asked of each batch once, in the order of the scan."""


class ChatCounter(Counter[ChatChange]):
    """Counts sessions and messages."""

    def __init__(self) -> None:
        self._last: str | None = None

    def weigh(self, changes: Sequence[ChatChange]) -> int:
        return weight_of_chat(changes)

    def tally(self, changes: Sequence[ChatChange]) -> Tally:
        sessions = 0
        for change in changes:
            # A session with many messages comes in parts, one behind the other.
            sessions += change.session_id != self._last
            self._last = change.session_id
        return Tally(sessions=sessions, messages=sum(len(change.messages) for change in changes))


class DocumentCounter(Counter[DocumentChange]):
    """Counts documents."""

    def weigh(self, changes: Sequence[DocumentChange]) -> int:
        documents = (change.document for change in changes if change.document is not None)
        return sum(1 + len(document.text) // _ORDINARY_SIZE for document in documents)

    def tally(self, changes: Sequence[DocumentChange]) -> Tally:
        return Tally(documents=len(changes))


@asynccontextmanager
async def counted_beside(reporter: Reporter, count: Callable[[], Awaitable[int]]) -> AsyncGenerator[None, None]:
    """Count what is to come beside the block: a progress bar is not worth waiting for, nor failing for."""

    async def tell() -> None:
        try:
            reporter.expect(await count())
        except ChatStoreError as error:
            _log.info("what there is to do could not be counted: %s", error)

    counting = asyncio.create_task(tell())
    try:
        yield
    finally:
        counting.cancel()
        await asyncio.gather(counting, return_exceptions=True)

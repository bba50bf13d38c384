"""Counting records: how heavy a batch is, how many are to come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from chatstore.errors import ChatStoreError
from chatstore.migration.reporter import Reporter
from chatstore.models import ChatChange

# A record that is larger counts for several, so that a batch is bounded in bytes, too.
_ORDINARY_SIZE = 8192

_log = logging.getLogger(__name__)


def weight_of_chat(changes: Sequence[ChatChange]) -> int:
    """Return how many records of ordinary size some sessions and messages are, about: the measure of a put."""
    return sum(1 + sum(1 + len(m.content) // _ORDINARY_SIZE for m in change.messages) for change in changes)


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

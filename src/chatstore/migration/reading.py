"""Reading a side in pages of a useful size, one of them ahead of the writing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from chatstore.models import Quarantined, ScanPage

T = TypeVar("T")
C = TypeVar("C")


@asynccontextmanager
async def closing(iterator: AsyncIterator[T]) -> AsyncGenerator[AsyncIterator[T], None]:
    """Give `iterator`, and end it when the block is left early, so that a scan lets go of its connection at once."""
    try:
        yield iterator
    finally:
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()


async def batched(
    pages: AsyncIterator[ScanPage[C]], size: int, weigh: Callable[[Sequence[C]], int]
) -> AsyncGenerator[ScanPage[C], None]:
    """Yield the pages of a scan, joined into pages of at least `size` records (but for the last).

    A side yields pages as they come, a short session a page, perhaps; a write should be worth its round trip. The
    cursor of a joined page is the last one that its pages gave, or None when they gave none.
    """
    changes: list[C] = []
    quarantined: list[Quarantined] = []
    cursor: str | None = None
    weight = 0
    async with closing(pages):
        async for page in pages:
            changes += page.changes
            quarantined += page.quarantined
            cursor = page.cursor or cursor
            weight += weigh(page.changes) + len(page.quarantined)
            if weight >= size:
                yield ScanPage(tuple(changes), tuple(quarantined), cursor)
                changes, quarantined, cursor, weight = [], [], None, 0
    if changes or quarantined:
        yield ScanPage(tuple(changes), tuple(quarantined), cursor)


async def ahead(items: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """Yield what `items` yields, while the next item is already being read: one, so memory stays flat."""

    async def read() -> tuple[T] | None:
        try:
            return (await anext(items),)
        except StopAsyncIteration:
            return None

    following = asyncio.create_task(read())
    async with closing(items):
        try:
            while (item := await following) is not None:
                following = asyncio.create_task(read())
                yield item[0]
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

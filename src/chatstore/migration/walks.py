"""Walks over the parts of a side, one server's each, made side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import TypeVar

T = TypeVar("T")


async def side_by_side(walks: Mapping[str, AsyncGenerator[T, None]]) -> AsyncGenerator[tuple[str, T | None], None]:
    """Yield what some walks yield, each thing with its walk's name, as it comes; and None when a walk has ended.

    What one walk yields comes in its order. Of each walk the next thing is read ahead.
    """
    reading = {asyncio.create_task(_next(walk)): name for name, walk in walks.items()}
    try:
        while reading:
            ready, _ = await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
            for task in ready:
                name, found = reading.pop(task), task.result()
                if found is not None:
                    reading[asyncio.create_task(_next(walks[name]))] = name
                yield name, found
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        for walk in walks.values():
            await walk.aclose()


async def _next(walk: AsyncGenerator[T, None]) -> T | None:
    return await anext(walk, None)

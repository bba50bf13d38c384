"""Doing several things at once, of which none goes on when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")


async def both(one: Coroutine[Any, Any, A], other: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """Return what two coroutines return, which run at the same time; when one fails, the other one is ended first."""
    tasks = (asyncio.create_task(one), asyncio.create_task(other))
    try:
        return (await tasks[0], await tasks[1])
    finally:
        await _end(tasks)


async def several(coroutines: Iterable[Coroutine[Any, Any, T]], *, at_once: int) -> list[T]:
    """Return what coroutines return, of which so many run at once; when one fails, the others are ended first."""
    gate = asyncio.Semaphore(at_once)

    async def run(coroutine: Coroutine[Any, Any, T]) -> T:
        async with gate:
            return await coroutine

    begun = list(coroutines)
    tasks = [asyncio.create_task(run(coroutine)) for coroutine in begun]
    try:
        return [await task for task in tasks]
    finally:
        await _end(tasks)
        for coroutine in begun:
            coroutine.close()


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

"""Keeping a write whole when its caller goes away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

logger = logging.getLogger("chatstore.routing")

T = TypeVar("T")

_under_way: set[asyncio.Task[Any]] = set()


async def protected(write: Coroutine[Any, Any, T]) -> T:
    """Await `write` so that cancelling the caller cancels the waiting and not the write, which runs to its end."""
    task = asyncio.ensure_future(write)
    # The loop itself holds its tasks weakly: an abandoned one could be collected in the middle.
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_report)
        raise


def _report(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.warning("a write whose caller went away failed: %s", error)

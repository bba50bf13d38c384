"""Keeping writes whole when their callers go away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from chatstore.routing.eager import begin

logger = logging.getLogger("chatstore.routing")

T = TypeVar("T")


class WritesUnderWay:
    """The writes of one router. Cancelling a caller cancels the waiting and not the write, which runs to its end."""

    def __init__(self) -> None:
        # The loop itself holds its tasks weakly: an abandoned one could be collected in the middle.
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, write: Coroutine[Any, Any, T]) -> T:
        """Await `write`, protected."""
        begun, task = begin(write)
        if begun.ended:
            return begun.value
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await begun.outcome
        except asyncio.CancelledError:
            begun.outcome.add_done_callback(_report)
            task.add_done_callback(_report)
            raise

    def follow_up(self, work: Coroutine[Any, Any, None]) -> None:
        """Start what is to be done after a write, for which no caller need wait; if it fails, the log says so."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_report)

    async def finish(self, patience: float = 10.0) -> None:
        """Wait for the writes under way, for at most `patience` seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience)


def _report(write: asyncio.Future[Any]) -> None:
    if not write.cancelled() and (error := write.exception()) is not None:
        logger.warning("a write for which no caller waits failed: %s", error)

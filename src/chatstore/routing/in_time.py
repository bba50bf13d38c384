"""Work in the background that must end in time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any


class InTime:
    """Tasks each of which may take so many seconds, and is cancelled then.

    One timer stands for all of them, as they come due in the order in which they were started: one for each, as
    `asyncio.timeout` sets it, costs more than a short task itself.

    Args:
        seconds: How long each may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due: dict[asyncio.Task[None], float] = {}
        self._late: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._due)

    def start(self, work: Coroutine[Any, Any, None], context: Context) -> None:
        """Run `work` as a task in a context."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(work, context=context)
        self._due[task] = due = loop.time() + self._seconds
        task.add_done_callback(self._ended)
        if self._timer is None:
            self._timer = loop.call_at(due, self._look)

    def is_late(self) -> bool:
        """Return whether the task that asks was cancelled because its time is up, and not by anybody else."""
        return asyncio.current_task() in self._late

    async def drain(self) -> None:
        """Wait until all of them have ended."""
        await asyncio.gather(*self._due, return_exceptions=True)

    async def close(self) -> None:
        """Cancel all of them."""
        for task in self._due:
            task.cancel()
        await self.drain()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer, loop = None, asyncio.get_running_loop()
        for task, due in self._due.items():
            if due > loop.time():
                self._timer = loop.call_at(due, self._look)
                return
            if task not in self._late:
                self._late.add(task)
                task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._due[task]
        self._late.discard(task)

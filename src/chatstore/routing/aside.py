"""Telling a function of what happens, in a thread of its own: whatever it does with that, no call waits for it."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Generic, TypeVar

from chatstore.routing.complaints import Complaints

T = TypeVar("T")

logger = logging.getLogger("chatstore.routing")

_WAITING = 1000
_ENDS_WITHIN = 2.0


class Aside(Generic[T]):
    """Hands things to a function, one after the other, each in the context in which it was handed over.

    Args:
        function: Whose errors are logged, each type of them once a minute at the most.
        name: The thread's.
        things: What they are called in the log.
        who: What the function is called there.
        does: What it does with them.
        failed: What is said when it raises.
    """

    def __init__(
        self, function: Callable[[T], object], *, name: str, things: str, who: str, does: str, failed: str
    ) -> None:
        self.dropped = 0
        self._function = function
        self._name = name
        self._too_slow = f"{things} are dropped: {who} is slower to {does} than they come"
        self._not_in_time = f"{who} does not {does} in time: %d {things} are lost"
        self._failed = failed
        self._queue: queue.Queue[tuple[Context, T] | None] = queue.Queue(_WAITING)
        self._thread: threading.Thread | None = None
        self._complaints = Complaints()
        self._given_up = False

    def hand_over(self, thing: T) -> None:
        """Hand a thing over; it is dropped where too many wait already."""
        try:
            if self._thread is None:
                thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                thread.start()
                self._thread = thread
            self._queue.put_nowait((copy_context(), thing))
        except RuntimeError:  # the interpreter ends, and lets no thread begin any more
            self.dropped += 1
        except queue.Full:
            self.dropped += 1
            self._complaints.say(self._too_slow, kind="full")

    async def close(self) -> None:
        """Hand over what waits, for two seconds at the most."""
        if self._thread is not None:
            await asyncio.to_thread(self._end, self._thread)

    def _end(self, thread: threading.Thread) -> None:
        end = time.monotonic() + _ENDS_WITHIN
        try:
            self._queue.put(None, timeout=_ENDS_WITHIN)
        except queue.Full:
            pass
        else:
            thread.join(max(0.0, end - time.monotonic()))
        if thread.is_alive():
            self._given_up = True
            logger.warning(self._not_in_time, self._queue.qsize())

    def _work(self) -> None:
        while (waiting := self._queue.get()) is not None and not self._given_up:
            context, thing = waiting
            try:
                context.run(self._function, thing)
            except Exception as error:  # noqa: BLE001 - a defect of somebody else's, which no call may feel
                self._complaints.failed(self._failed, error, kind="failed")

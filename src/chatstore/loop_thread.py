"""An event loop in a thread of its own, for callers that have none."""

from __future__ import annotations

import asyncio
import os
import selectors
import threading
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from chatstore.errors import UnavailableError, UnsupportedError

R = TypeVar("R")

_ENDS_WITHIN_SECONDS = 10.0


class StoppedError(Exception):
    """The loop was stopped before the call."""


class LoopThread:
    """An event loop in a daemon thread, to run coroutines from blocking code, until it is stopped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped = False
        self._selector = selectors.DefaultSelector()
        self._loop = asyncio.SelectorEventLoop(self._selector)
        self._thread = threading.Thread(target=self._serve, name="chatstore", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine to its end and return what it returns, or raise what it raises.

        Raises:
            StoppedError: The loop was stopped before, so that nothing of the coroutine was run.
            UnavailableError: The loop was stopped meanwhile.
            UnsupportedError: The caller is run by this loop itself, and would wait for itself.
        """
        call = _Call(work)
        try:
            self._submit(call)
        except BaseException:
            work.close()
            raise
        try:
            call.ended.acquire()
        except BaseException:
            self._cancel(call)  # Ctrl-C ends the waiting; a write that has begun goes on, as anywhere
            raise
        try:
            return call.result()
        except asyncio.CancelledError as error:
            raise UnavailableError("the stores were closed while this call was under way") from error

    def stop(self) -> None:
        """End what still runs, the loop and its thread."""
        with self._lock:
            if not self._stopped:
                self._stopped = True
                self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_ENDS_WITHIN_SECONDS)

    def let_go(self) -> None:
        """In a forked child: give the parent's sockets up. Whatever becomes of these objects, the parent's stay."""
        inherited = [key.fd for key in self._selector.get_map().values()]
        if own := getattr(self._selector, "fileno", None):
            # Where it is an object of the kernel's, it is one and the same in both processes: to take a socket out of
            # it here would make the parent deaf to it.
            inherited.append(own())
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in inherited:
            os.dup2(null, descriptor)
        os.close(null)

    def _submit(self, call: _Call[Any]) -> None:
        if threading.current_thread() is self._thread:
            raise UnsupportedError(
                "a blocking call was made by what a blocking call runs (an embedder, say), and would wait for itself: "
                "use an async store there"
            )
        with self._lock:  # so that what was submitted stands before the stop in the loop's queue
            if self._stopped:
                raise StoppedError
            self._loop.call_soon_threadsafe(call.start, self._loop)

    def _cancel(self, call: _Call[Any]) -> None:
        with self._lock:
            if not self._stopped:  # else the end of the loop cancels it
                self._loop.call_soon_threadsafe(call.cancel)

    def _serve(self) -> None:
        # The runner cancels, at its end, the tasks that are left: whoever waits for one must not wait for ever.
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()


class _Call(Generic[R]):
    """A coroutine that a thread waits for.

    It waits at a lock, which is all that it takes: a future of `concurrent.futures` has a condition, and is chained to
    another one of the loop's.
    """

    __slots__ = ("_task", "_work", "ended")

    def __init__(self, work: Coroutine[Any, Any, R]) -> None:
        self.ended = threading.Lock()
        self.ended.acquire()
        self._work = work
        self._task: asyncio.Task[R] | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """In the loop's thread: start it, in the context of the thread that waits."""
        self._task = loop.create_task(self._work)
        # Not at the coroutine's own end: one that is cancelled before its first step never comes to that.
        self._task.add_done_callback(self._end)

    def cancel(self) -> None:
        """In the loop's thread: give it up."""
        if self._task is not None:
            self._task.cancel()

    def result(self) -> R:
        """Return what it returned, or raise what it raised; when it has ended."""
        assert self._task is not None  # noqa: S101 - it has ended, so it was started
        return self._task.result()

    def _end(self, _: asyncio.Task[R]) -> None:
        self.ended.release()

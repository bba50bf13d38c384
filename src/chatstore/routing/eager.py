"""Starting a coroutine at once, as a task of its own: what ends without waiting costs no turn of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import copy_context
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def begin(work: Coroutine[Any, Any, T]) -> tuple[asyncio.Future[T], asyncio.Task[None]]:
    """Run a coroutine up to where it first waits; from there on a task runs it.

    The beginning, too, is run as that task and in its context: a deadline that is set there is the task's, and no
    cancellation of the caller reaches it. This is what eager tasks are from Python 3.12 on, by the means that asyncio
    has for tasks of others' making (https://docs.python.org/3/library/asyncio-extending.html).

    Args:
        work: The coroutine.

    Returns:
        What the coroutine returned or raised, done as soon as it has ended, which may be at once; to cancel it cancels
        nothing else. And the task, which ends by an error only if that could not be told because it was cancelled.
    """
    loop = asyncio.get_running_loop()
    context = copy_context()
    begun = _Begun(work, loop.create_future())
    task = loop.create_task(begun, context=context)
    caller = asyncio.current_task(loop)
    _switch(loop, caller, task)
    try:
        context.run(begun.start)
    finally:
        _switch(loop, task, caller)
    return begun.outcome, task


class _Begun(Coroutine[Any, Any, None], Generic[T]):
    """The rest of a coroutine, for its task.

    It does not know the task, which knows it: the two would be a circle, and left to the garbage collector.
    """

    __slots__ = ("_awaited", "_ended", "_passed_on", "_work", "outcome")

    def __init__(self, work: Coroutine[Any, Any, T], outcome: asyncio.Future[T]) -> None:
        self.outcome = outcome
        self._work = work
        self._awaited: Any = None
        self._passed_on = False
        self._ended = False

    def start(self) -> None:
        """Run the beginning."""
        try:
            self._awaited = self._step(self._work.send, None)
        except StopIteration:
            self._ended = True

    def send(self, value: Any) -> Any:
        """Go on; the first time, that was done already, and the task is given what there is to wait for."""
        if self._ended:
            raise StopIteration
        if not self._passed_on:
            self._passed_on = True
            return self._awaited
        return self._step(self._work.send, value)

    def throw(self, *error: Any) -> Any:
        """Raise an error, which is the task's cancellation, where the coroutine waits."""
        if self._ended:
            raise StopIteration
        if not self._passed_on:
            # A task cancels what it waits for; this one does not know yet that it waits.
            self._passed_on = True
            if isinstance(self._awaited, asyncio.Future):
                self._awaited.cancel()
        return self._step(self._work.throw, *error)

    def close(self) -> None:
        """Give the coroutine up."""
        self._work.close()

    def __await__(self) -> Generator[Any, Any, None]:
        raise NotImplementedError("it is awaited by its outcome")

    def _step(self, step: Callable[..., Any], *arguments: Any) -> Any:
        """Run the coroutine up to where it waits, or end with the outcome told; what nobody is told is the task's."""
        try:
            return step(*arguments)
        except StopIteration as end:
            if not self.outcome.done():
                self.outcome.set_result(end.value)
        except asyncio.CancelledError:
            self.outcome.cancel()
        except BaseException as error:
            told = not self.outcome.done()
            if told:
                self.outcome.set_exception(error)
            if not told or not isinstance(error, Exception):
                raise
        raise StopIteration


def _switch(loop: asyncio.AbstractEventLoop, leave: asyncio.Task[Any] | None, enter: asyncio.Task[Any] | None) -> None:
    if leave is not None:
        asyncio._leave_task(loop, leave)  # noqa: SLF001 - documented for just this, see above
    if enter is not None:
        asyncio._enter_task(loop, enter)  # noqa: SLF001

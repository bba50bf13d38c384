"""Starting a coroutine at once, as a task of its own: what ends without waiting costs no turn of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import copy_context
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def begin(work: Coroutine[Any, Any, T]) -> tuple[Begun[T], asyncio.Task[None]]:
    """Run a coroutine up to where it first waits; from there on a task runs it.

    The beginning, too, is run as that task and in its context: a deadline that is set there is the task's, and no
    cancellation of the caller reaches it. This is what eager tasks are from Python 3.12 on, by the means that asyncio
    has for tasks of others' making (https://docs.python.org/3/library/asyncio-extending.html).

    Args:
        work: The coroutine.

    Returns:
        What is known of it, and its task, which ends by an error only if that could not be told.

    Raises:
        Exception: What the coroutine raised in its beginning.
    """
    loop = asyncio.get_running_loop()
    context = copy_context()
    begun = Begun(work, loop)
    task = loop.create_task(begun, context=context)
    caller = asyncio.current_task(loop)
    # Documented for just this, see above.
    if caller is not None:
        asyncio._leave_task(loop, caller)  # noqa: SLF001
    asyncio._enter_task(loop, task)  # noqa: SLF001
    try:
        context.run(begun.start)
    finally:
        asyncio._leave_task(loop, task)  # noqa: SLF001
        if caller is not None:
            asyncio._enter_task(loop, caller)  # noqa: SLF001
    return begun, task


class Begun(Coroutine[Any, Any, None], Generic[T]):
    """A coroutine whose beginning was run, for the task that runs the rest.

    It does not know the task, which knows it: the two would be a circle, and left to the garbage collector.

    Attributes:
        ended: Whether it came to its end in the beginning.
        value: What it then returned.
        outcome: Otherwise, what it returns or raises in the end; to cancel this cancels nothing else.
    """

    __slots__ = ("_awaited", "_loop", "_passed_on", "_work", "ended", "outcome", "value")

    value: T
    outcome: asyncio.Future[T]

    def __init__(self, work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> None:
        self.ended = True
        self._work = work
        self._loop = loop
        self._passed_on = False

    def start(self) -> None:
        """Run the beginning."""
        try:
            self._awaited = self._work.send(None)
        except StopIteration as end:
            self.value = end.value
        else:
            self.ended = False
            self.outcome = self._loop.create_future()

    def send(self, value: Any) -> Any:
        """Go on; the first time, that was done already, and the task is given what there is to wait for."""
        if self.ended:
            raise StopIteration
        if not self._passed_on:
            self._passed_on = True
            return self._awaited
        return self._step(self._work.send, value)

    def throw(self, *error: Any) -> Any:
        """Raise an error, which is the task's cancellation, where the coroutine waits."""
        if self.ended:
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

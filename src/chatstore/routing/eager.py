"""Starting a coroutine at once, as a task of its own: what ends without waiting costs no turn of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import copy_context
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Eager(Coroutine[Any, Any, None], Generic[T]):
    """A coroutine that is run up to where it first waits when this is made; from there on its task runs it.

    The beginning, too, is run as that task and in its context: a deadline that is set there is the task's, and no
    cancellation of the caller reaches it. This is what eager tasks are from Python 3.12 on, by the means that asyncio
    has for tasks of others' making (https://docs.python.org/3/library/asyncio-extending.html).

    Args:
        work: The coroutine.

    Attributes:
        task: What runs the rest.
        outcome: What the coroutine returned or raised; done as soon as it has ended, which may be at once. To cancel it
            cancels nothing else.
    """

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        loop = asyncio.get_running_loop()
        context = copy_context()
        self._work = work
        self._awaited: Any = None
        self._passed_on = False
        self._ended = False
        self.outcome: asyncio.Future[T] = loop.create_future()
        self.task: asyncio.Task[None] = loop.create_task(self, context=context)
        caller = asyncio.current_task(loop)
        _switch(loop, caller, self.task)
        try:
            self._awaited = context.run(self._step, work.send, None)
        except StopIteration:
            self._ended = True
        finally:
            _switch(loop, self.task, caller)

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

"""An event loop whose clock jumps to when something is due, so that hours of waiting take no time."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self._seconds = 0.0

    def time(self) -> float:
        return self._seconds

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self._seconds = max(self._seconds, self._scheduled[0]._when)
        super()._run_once()


def in_virtual_time(work: Coroutine[Any, Any, T]) -> T:
    """Return what the work comes to; nothing in it may wait for anything but the loop's own clock."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(work)


def seconds() -> float:
    """Return the time by the running loop's clock."""
    return asyncio.get_running_loop().time()

"""Running a command's work on an event loop, so that Ctrl-C ends it cleanly."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """Somebody stopped the command; the message says how to go on."""


def run(work: Coroutine[Any, Any, T], *, afterwards: str) -> T:
    """Return what the work comes to.

    Args:
        work: What to do.
        afterwards: What to say when it is stopped.

    Raises:
        Stopped: By Ctrl-C or SIGTERM; what the work holds (a lease, connections) was given back before.
    """
    try:
        return asyncio.run(_ended_by_sigterm(work))
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        raise Stopped(afterwards) from error


async def _ended_by_sigterm(work: Coroutine[Any, Any, T]) -> T:
    task = asyncio.current_task()
    if task is not None:
        # Windows has no such handlers, nor such a signal that would be worth one.
        with suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work

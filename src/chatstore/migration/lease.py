"""The lease that keeps a second runner out, held by a heartbeat for as long as a run takes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from chatstore.errors import ChatStoreError, LeaseLostError
from chatstore.interfaces import Progress

_log = logging.getLogger(__name__)

_BEATS = 3  # A lease outlives two renewals that fail.

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""One that goes on while the machine sleeps, where there is one: so does the server's."""


class Lease:
    """Holds the lease of one kind's migration from entry to exit.

    A run that sleeps too long (a suspended laptop, a server that was away) loses its lease without noticing. So it
    calls `confirm` before each write; and the checkpoint is fenced by the server itself.

    Args:
        progress: Where the lease is.
        holder: Who holds it; shown to whom it keeps out.
        seconds: How long it outlives its holder.
    """

    def __init__(self, progress: Progress, holder: str, seconds: float) -> None:
        self.holder = holder
        self._progress = progress
        self._seconds = seconds
        self._until = 0.0
        self._lost: LeaseLostError | None = None
        self._heart: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Take the lease.

        Raises:
            LeaseLostError: Another runner has it.
        """
        await self._renew()
        self._heart = asyncio.create_task(self._beat())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._heart is not None:
            self._heart.cancel()
            await asyncio.gather(self._heart, return_exceptions=True)
        try:
            await self._progress.release(self.holder)
        except ChatStoreError as failure:
            # The run's own outcome matters more, and the lease ends by itself.
            _log.warning("the lease could not be given back, it ends in %.0f s: %s", self._seconds, failure)

    async def confirm(self) -> None:
        """Return when this runner holds the lease, taking it again if it ran out and nobody else took it.

        Raises:
            LeaseLostError: Another runner has it: stop.
            UnavailableError: It ran out, and the server that knows about it does not answer.
        """
        if self._lost is not None:
            # Somebody else had it, and may have changed what this run found at its beginning.
            raise self._lost
        if _now() >= self._until:
            await self._renew()

    async def fenced(self, action: Callable[[], Awaitable[None]]) -> None:
        """Do what the server lets the holder do only.

        A server that was away for long, or was started again, knows nothing of the lease any more: it is taken again.

        Raises:
            LeaseLostError: Another runner has it: stop.
        """
        await self.confirm()
        try:
            await action()
        except LeaseLostError:
            await self._renew()
            await action()

    async def _renew(self) -> None:
        # Counted from before the call, so that the server's lease never ends before this one.
        asked = _now()
        await self._progress.acquire(self.holder, self._seconds)
        self._until = asked + self._seconds

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._seconds / _BEATS)
            try:
                await self._renew()
            except LeaseLostError as error:
                self._lost = error
                return
            except ChatStoreError as error:
                _log.warning("the lease could not be renewed yet: %s", error)


def _now() -> float:
    return time.clock_gettime(_CLOCK)

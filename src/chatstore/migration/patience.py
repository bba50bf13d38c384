"""Waiting for a server that went away in the middle of a run, instead of ending the run."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from chatstore.errors import UnavailableError
from chatstore.migration.reading import closing

T = TypeVar("T")
P = TypeVar("P", bound="HasCursor")

_log = logging.getLogger(__name__)


class HasCursor(Protocol):
    """A part of a walk."""

    @property
    def cursor(self) -> str | None:
        """Where to go on behind it; None when that is not known, or it is the last."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a run waits for a server that does not answer. The waits double up to `longest`.

    Attributes:
        first: Seconds of the first wait.
        longest: Seconds of the longest single wait.
        limit: Seconds of waiting in a row, without one success, after which the run gives up.
        on_wait: Is told the reason of each wait; once, when several wait for the same at the same time.
    """

    first: float = 0.5
    longest: float = 30.0
    limit: float = 900.0
    on_wait: Callable[[str], None] = lambda _reason: None
    _told: dict[str, float] = field(default_factory=dict, init=False, repr=False, compare=False)

    async def until_done(self, action: Callable[[], Awaitable[T]]) -> T:
        """Return what `action` returns, calling it again for as long as a server is away. It must be idempotent.

        Raises:
            UnavailableError: The server was away for longer than `limit`.
        """
        waits = self._waits()
        while True:
            try:
                return await action()
            except UnavailableError as error:
                await self._wait(waits, error)

    async def pages(
        self, scan: Callable[[str | None], AsyncIterator[P]], cursor: str | None
    ) -> AsyncGenerator[P, None]:
        """Yield the pages of a walk, which is taken up again behind the last known cursor when its server was away.

        Args:
            scan: Walks from a cursor, or from the start.
            cursor: Where to begin.

        Raises:
            UnavailableError: The server was away for longer than `limit`.
        """
        waits = self._waits()
        while True:
            try:
                async with closing(scan(cursor)) as pages:
                    async for page in pages:
                        waits = self._waits()
                        yield page
                        cursor = page.cursor or cursor
            except UnavailableError as error:
                await self._wait(waits, error)
            else:
                return

    def _waits(self) -> Iterator[float]:
        wait, waited = self.first, 0.0
        while waited < self.limit:
            yield wait
            waited += wait
            wait = min(wait * 2, self.longest)

    async def _wait(self, waits: Iterator[float], error: UnavailableError) -> None:
        wait = next(waits, None)
        if wait is None:
            raise error
        if self._is_news(str(error), wait):
            _log.warning("%s; trying again in %.1f s", error, wait)
            self.on_wait(str(error))
        await asyncio.sleep(wait)

    def _is_news(self, reason: str, wait: float) -> bool:
        """Return whether nobody waits for the same yet: of several batches under way, one is enough to tell."""
        now = time.monotonic()
        if self._told.get(reason, now) > now:
            return False
        for over in [told for told, until in self._told.items() if until <= now]:
            del self._told[over]
        self._told[reason] = now + wait
        return True

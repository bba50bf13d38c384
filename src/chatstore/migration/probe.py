"""How busy a server is while a run goes on, beside how it was before."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeAlias

from chatstore.errors import ChatStoreError, UnavailableError
from chatstore.models import LoadSeen, ServerLoad

Ask: TypeAlias = Callable[[], Awaitable[ServerLoad | None]]
"""Asks a server how busy it is: a side's `load`."""

_SURE: Final = 3
_QUICKEST: Final = 0.0001

_log = logging.getLogger(__name__)


class Probe:
    """Asks one server how busy it is, again and again. The first look is before the run begins.

    Args:
        ask: Asks the server.

    Attributes:
        silent: Whether the server never tells, so that it need not be asked again.
        away: Whether it did not answer the last time.
        latency: Seconds that its last answer took; None while it did not give any.
    """

    def __init__(self, ask: Ask) -> None:
        self.silent = False
        self.away = False
        self.latency: float | None = None
        self._ask = ask
        self._clock = asyncio.get_running_loop().time
        self._first: _Look | None = None
        self._previous: _Look | None = None
        self._last: _Look | None = None
        self._worst = 0.0
        self._looks = 0
        self._latencies = 0.0
        self._operations = 0.0

    async def look(self, limit: float | None = None, *, late: float = 0.0) -> None:
        """Ask the server. That it does not answer does not concern the run, which will notice by itself.

        Args:
            limit: Seconds that an answer may take. One that took longer is asked for again, and the quickest of
                three counts: it may have been this process that was busy when the answer came.
            late: Seconds by which this process comes late to whatever is due, on average. An answer waits for so long,
                too, until it is seen, and that is none of the server's doing.
        """
        if self.silent:
            return
        try:
            load = _without(late, await self._ask())
            asked = 1
            while load is not None and limit is not None and load.latency > limit and asked < _SURE:
                again = _without(late, await self._ask())
                asked += 1
                if again is not None and again.latency < load.latency:
                    load = again
        except UnavailableError as error:
            _log.debug("how busy a server is could not be asked: %s", error)
            self.away = True
            return
        except ChatStoreError as error:
            _log.warning("how busy a server is cannot be told: %s", error)
            self.silent = True
            return
        self.away, self.silent = False, load is None
        if load is not None:
            self._note(_Look(self._clock(), load))

    @property
    def now(self) -> LoadSeen | None:
        """How busy it is at the moment: its latency, its CPU since the look before."""
        if self._last is None:
            return None
        return self._seen(self._previous, self._last.load.latency, self._last.load.operations)

    @property
    def mean(self) -> LoadSeen | None:
        """How busy it was since the run began, on average."""
        if self._looks == 0:
            return self.now
        tells = self._last is not None and self._last.load.operations is not None
        return self._seen(self._first, self._latencies / self._looks, self._operations / self._looks if tells else None)

    def slower_than(self, limit: float | None) -> bool:
        """Return whether its last answer took longer than it may, or did not come."""
        return limit is not None and (self.away or (self.latency or 0.0) > limit)

    def _note(self, look: _Look) -> None:
        load = look.load
        self.latency = load.latency
        if self._first is None:
            self._first = look
        else:
            # What was before the run is none of its doing.
            self._looks += 1
            self._latencies += load.latency
            self._operations += load.operations or 0.0
        self._worst = max(self._worst, load.latency)
        self._previous, self._last = self._last, look

    def _seen(self, since: _Look | None, latency: float | None, operations: float | None) -> LoadSeen | None:
        if self._first is None or self._last is None or latency is None:
            return None
        return LoadSeen(
            latency=latency,
            latency_before=self._first.load.latency,
            latency_worst=self._worst,
            cpu_share=None if since is None else _share(since, self._last),
            operations=operations,
        )


class _Look:
    """What a server told, and when."""

    __slots__ = ("at", "load")

    def __init__(self, at: float, load: ServerLoad) -> None:
        self.at = at
        self.load = load


def _without(late: float, load: ServerLoad | None) -> ServerLoad | None:
    return load and replace(load, latency=max(load.latency - late, min(load.latency, _QUICKEST)))


def _share(since: _Look, last: _Look) -> float | None:
    """Return the share of a CPU that was used between two looks; None when the server began anew between them."""
    if since.load.cpu_seconds is None or last.load.cpu_seconds is None or last.at <= since.at:
        return None
    used = last.load.cpu_seconds - since.load.cpu_seconds
    return used / (last.at - since.at) if used >= 0 else None

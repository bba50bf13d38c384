"""The versions that this process gives to documents in Chroma."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from chatstore.models import Side, next_version, to_micros


class Clock:
    """Gives versions, and to no two documents the same: Chroma compares none, so two writers would not notice.

    Args:
        side: Which side it gives them for.
        now: What time it is.
    """

    def __init__(self, side: Side, now: Callable[[], datetime]) -> None:
        self._side = side
        self._now = now
        self._given = 0
        self._lock = threading.Lock()

    def next(self, last: int) -> int:
        """Return a version that is greater than `last` and not before the clock."""
        with self._lock:
            now = to_micros(self._now())
            # Kept apart from `last`: one document with a version of the far future must not carry all others there.
            self._given = next_version(self._given, now, self._side)
            return self._given if self._given > last else next_version(last, now, self._side)

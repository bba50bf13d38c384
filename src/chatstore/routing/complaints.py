"""Saying once in a while what would otherwise be said at every call."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger("chatstore.routing")

_EVERY = 60.0
_KEPT = 1000


class Complaints:
    """Logs each kind of warning at most once a minute."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def say(self, message: str, *, kind: str | None = None) -> None:
        """Log a warning.

        Args:
            message: What to say.
            kind: What it counts as; the message itself when left out.
        """
        now = time.monotonic()
        name = kind or message
        if now - self._said.get(name, -_EVERY) < _EVERY:
            return
        if len(self._said) >= _KEPT:
            self._said.clear()
        self._said[name] = now
        logger.warning("%s", message)

"""Saying once in a while what would otherwise be said at every call."""

from __future__ import annotations

import logging
import time

from chatstore.errors import ChatStoreError

logger = logging.getLogger("chatstore.routing")

_EVERY = 60.0
_KEPT = 1000


class Complaints:
    """Logs each kind of warning at most once a minute."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def failed(self, what: str, error: Exception, *, kind: str) -> None:
        """Log that something failed: for a reason that we know, or else by a defect, with its traceback.

        Args:
            what: What failed.
            error: Why.
            kind: What it counts as; each type of defect counts for itself besides.
        """
        if isinstance(error, ChatStoreError | TimeoutError):
            self.say(f"{what}: {str(error) or 'no answer in time'}", kind=kind)
        else:
            self.say(f"{what}: {error!r}", kind=f"{kind} {type(error).__name__}", defect=error)

    def say(
        self,
        message: str,
        *,
        kind: str | None = None,
        defect: Exception | None = None,
        level: int = logging.WARNING,
    ) -> None:
        """Log a warning.

        Args:
            message: What to say.
            kind: What it counts as; the message itself when left out.
            defect: An error whose traceback is to be logged with it.
            level: How loud, where it is no warning.
        """
        now = time.monotonic()
        name = kind or message
        if now - self._said.get(name, -_EVERY) < _EVERY:
            return
        if len(self._said) >= _KEPT:
            self._said.clear()
        self._said[name] = now
        logger.log(level, "%s", message, exc_info=defect)

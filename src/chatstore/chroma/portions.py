"""How many documents are joined at once, found out by how long that takes."""

from __future__ import annotations

LEAST, MOST = 50, 1250
_FIRST = 625
_SECONDS = 4.0
"""How long a portion should take at the most: well below the time after which a join is given up."""


class Portions:
    """A size that suits the server: Chroma takes from some fifty to some thousand documents a second.

    A portion is announced, and whoever writes one of its documents waits for it; so it must not take long. On the other
    hand each costs some round trips.

    Attributes:
        size: How many documents the next portion has at the most.
    """

    def __init__(self) -> None:
        self.size = _FIRST

    def of(self, count: int) -> int:
        """Return how many of `count` documents to join next, so that no small portion is left in the end."""
        return -(-count // -(-count // self.size))

    def took(self, count: int, seconds: float) -> None:
        """Learn from a portion of so many documents; an infinite time is that of one which was given up."""
        if seconds > _SECONDS:
            self.size = max(LEAST, self.size // 2)
        elif seconds * 2 * self.size <= _SECONDS * count:
            self.size = min(MOST, 2 * self.size)

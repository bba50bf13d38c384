"""How a run keeps to a rate, and how it makes room when a server is slow. Nothing here waits or looks at a clock."""

from __future__ import annotations

from typing import Final

SLICE: Final = 0.5
"""Seconds: a batch is at most what a rate allows in so long, so that a low rate is no burst now and then."""

_CALM: Final = 4
_FIRST_PAUSE, _LONGEST_PAUSE, _NO_PAUSE = 0.1, 10.0, 0.05
_SHRINKS: Final = 0.8


class Beat:
    """Says when the next batch is due, so that over some seconds there are as many records as a rate allows.

    A batch that begins late is made up for, up to a `SLICE`; a time in which nothing was asked for is not. How many
    records a batch had is known afterwards: what it was more, or less, is put right with the next one.
    """

    def __init__(self) -> None:
        self._rate: float | None = None
        self._due = float("-inf")

    def at(self, rate: float | None, now: float) -> None:
        """Keep to another rate from now on; what was owed at the old one is forgotten."""
        if rate != self._rate:
            self._rate, self._due = rate, now

    def wait(self, now: float) -> float:
        """Return how many seconds it is until the next batch is due; 0 when it is."""
        return 0.0 if self._rate is None else max(0.0, self._due - now)

    def take(self, records: float, now: float) -> None:
        """Note that a batch of about so many records begins."""
        if self._rate is not None:
            self._due = max(now - SLICE, self._due) + records / self._rate

    def correct(self, records: float) -> None:
        """Note that a batch had so many records more than was thought, or less."""
        if self._rate is not None:
            self._due += records / self._rate


class Room:
    """How many batches may be under way, and how long a pause comes between them, by how the servers answer.

    It is halved when one is slow, down to one batch, and then the pauses get longer; it grows again by little. It never
    ends: after the longest pause there is a batch, and another look.

    Attributes:
        pause: Seconds between the end of a batch and the beginning of the next.
    """

    def __init__(self) -> None:
        self.pause = 0.0
        self._batches: int | None = None
        self._calm = 0

    def batches(self, most: int) -> int:
        """Return how many batches may be under way, of `most`."""
        return most if self._batches is None else max(1, min(most, self._batches))

    @property
    def tight(self) -> bool:
        """Whether there is less than there could be."""
        return self._batches is not None

    def heard(self, most: int, *, slow: bool) -> None:
        """Note how the servers answered to a look.

        Args:
            most: How many batches there would be if nothing were slow.
            slow: Whether one of them took longer than it may.
        """
        if slow:
            self._shrink(self.batches(most))
        elif self._batches is not None:
            self._grow(most)

    def _shrink(self, batches: int) -> None:
        self._calm = 0
        if batches == 1:
            self.pause = min(max(_FIRST_PAUSE, self.pause * 2), _LONGEST_PAUSE)
        self._batches = max(1, batches // 2)

    def _grow(self, most: int) -> None:
        if self.pause > 0:
            self.pause = self.pause * _SHRINKS if self.pause > _NO_PAUSE else 0.0
            return
        self._calm += 1
        if self._calm % _CALM:
            return
        more = self.batches(most) + 1
        self._batches = None if more > most else more

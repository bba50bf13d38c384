"""From a sample to the whole. What is scanned first is a fair sample: the server's order is one by hashes of keys."""

from __future__ import annotations

from dataclasses import dataclass

from chatstore.redis.inspection.report import Count


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of the whole was looked at.

    Attributes:
        total: How many there are.
        seen: How many of them were looked at.
        complete: Whether these were all.
    """

    total: int
    seen: int
    complete: bool

    def of(self, found: float) -> Count:
        """Return how many of a sort there are, of which so many were found."""
        if self.complete:
            return Count(round(found))
        return Count(rounded(found * self.total / max(1, self.seen)), exact=False)

    @property
    def unseen(self) -> int:
        """How many keys of one sort there may be, of which none was met: with a probability of 95 %, not more."""
        return 0 if self.complete else rounded(3 * self.total / max(1, self.seen))


def rounded(number: float) -> int:
    """Return a number with the two or three digits that an estimate is worth."""
    whole = round(number)
    digits = len(str(whole))
    return whole if digits <= 3 else round(whole, 3 - digits)  # noqa: PLR2004

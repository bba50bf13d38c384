"""How far two answers to the same search agree: an index finds approximately, and a score is rounded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from chatstore.errors import ConfigurationError
from chatstore.models import Match


@dataclass(frozen=True, slots=True)
class SearchTolerance:
    """How far two answers to the same search may differ without being a mismatch.

    Attributes:
        least_overlap: The least overlap@k, from 0 to 1; see `Agreement`.
        score: How far both sides' scores of one document may differ; of scores above 1, which share of them.

    Raises:
        ConfigurationError: The overlap is no number from 0 to 1, or the score's tolerance is negative.
    """

    least_overlap: float = 0.9
    score: float = 1e-4

    def __post_init__(self) -> None:
        if not 0.0 <= self.least_overlap <= 1.0:
            raise ConfigurationError(
                f"two searches cannot have an overlap of {self.least_overlap}: give the least as a number from 0 to 1"
            )
        if not 0.0 <= self.score < math.inf:
            raise ConfigurationError(f"scores cannot differ by {self.score}: give a tolerance of 0 or more")

    def allows(self, one: float, other: float) -> bool:
        """Return whether one score and the other are the same but for rounding."""
        return _apart(one, other) <= self.score * max(1.0, abs(one), abs(other))


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two answers to the same search agree. It holds no id and no text.

    Attributes:
        k: How many matches the longer answer has.
        overlap: overlap@k: which share of the matches is in both answers, from 0 to 1. Where several documents score
            like the last match, it is no matter which of them an answer has.
        score_difference: The largest difference of both sides' scores of one document.
    """

    k: int
    overlap: float
    score_difference: float

    def __str__(self) -> str:
        return f"overlap@{self.k} {self.overlap:.2f}, scores differ by up to {self.score_difference:.2g}"


def agreement(left: Sequence[Match], right: Sequence[Match], tolerance: SearchTolerance) -> Agreement:
    """Return how far two answers to the same search agree; each has its best match first."""
    k = max(len(left), len(right))
    if k == 0:
        return Agreement(0, 1.0, 0.0)
    scores = {match.document.id: match.score for match in right}
    apart = [_apart(match.score, scores[match.document.id]) for match in left if match.document.id in scores]
    agreed = min(_agreed(left, right, tolerance), _agreed(right, left, tolerance))
    return Agreement(k, agreed / k, max(apart, default=0.0))


def _agreed(these: Sequence[Match], those: Sequence[Match], tolerance: SearchTolerance) -> int:
    """Return how many of these are among those, or would be in place of one that is worth no less."""
    ids = {match.document.id for match in those}
    last = those[-1].score if len(those) >= len(these) else math.inf
    return sum(
        match.document.id in ids or (last < math.inf and (match.score <= last or tolerance.allows(match.score, last)))
        for match in these
    )


def _apart(one: float, other: float) -> float:
    if one == other:
        return 0.0
    difference = abs(one - other)
    return math.inf if math.isnan(difference) else difference

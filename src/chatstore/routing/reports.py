"""What a repair came to, and how far the sides are apart after it."""

from __future__ import annotations

from dataclasses import dataclass

from chatstore.models import Backlog, utc_now


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair came to.

    Attributes:
        merged: How many marks were cleared.
        left: How many were left, because their writers may still be at work.
        quarantined: How many keys one of the sides could not take or give.
        seconds: How long it took.
    """

    merged: int = 0
    left: int = 0
    quarantined: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """How many marks were cleared a second."""
        return self.merged / self.seconds if self.seconds else 0.0

    def __add__(self, other: RepairReport) -> RepairReport:
        return RepairReport(
            self.merged + other.merged,
            self.left + other.left,
            self.quarantined + other.quarantined,
            self.seconds + other.seconds,
        )


@dataclass(frozen=True, slots=True)
class Round:
    """One of a watch's repairs. As text, it is a line of a log.

    Attributes:
        report: What it came to.
        backlog: What was marked after it.
    """

    report: RepairReport
    backlog: Backlog

    @property
    def oldest_seconds(self) -> float | None:
        """How old the oldest mark is; None when nothing is marked."""
        oldest = self.backlog.oldest
        return None if oldest is None else max(0.0, (utc_now() - oldest).total_seconds())

    def __str__(self) -> str:
        cleared = f"{_number(self.report.merged, 'mark')} cleared ({self.report.rate:,.0f}/s)"
        stuck = f"{_number(self.report.quarantined, 'key')} cannot be merged; " if self.report.quarantined else ""
        if self.oldest_seconds is None:
            return f"{cleared}; nothing is marked any more"
        return (
            f"{cleared}; {stuck}{_number(self.backlog.marks, 'mark')} left, the oldest {self.oldest_seconds:,.1f} s old"
        )


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"

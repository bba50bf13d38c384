"""What a person reads: the story while it happens, and the tables at its end."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import quantiles

from rich.console import Console
from rich.table import Table

from demo.check import BEFORE, Verdict
from demo.director import Chapter
from demo.ledger import Call, Counts, Outcome

_SHOWN_PROBLEMS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A chapter in numbers.

    Attributes:
        chapter: Which chapter.
        calls: How many calls began in it and were answered, or failed.
        writes: How many of them were acknowledged writes.
        errors: How many the users saw fail.
        stale: How many reads did not show what their user had written.
        cut_off: How many were never answered, because the app's process was killed.
        p50: Milliseconds within which half of the calls were answered.
        p99: Milliseconds within which 99 of 100 were.
        compared: How many shadow reads were made.
        mismatched: How many of those found an unexplained difference.
    """

    chapter: Chapter
    calls: int
    writes: int
    errors: int
    stale: int
    cut_off: int
    p50: float
    p99: float
    compared: int
    mismatched: int


def rows(chapters: Sequence[Chapter], calls: Iterable[Call], counts: Iterable[Sequence[Counts]]) -> list[Row]:
    """Return the chapters in numbers.

    Args:
        chapters: The chapters, in their order.
        calls: All calls.
        counts: What each process counted, in the order of time.
    """
    ends = [chapter.began for chapter in chapters[1:]] + [math.inf]
    live = [call for call in calls if call.writer != BEFORE]
    series = [list(one) for one in counts]
    return [
        _row(
            chapter,
            [call for call in live if chapter.began <= call.began < end],
            _since(series, chapter.began, end),
        )
        for chapter, end in zip(chapters, ends, strict=True)
    ]


def _row(chapter: Chapter, calls: Sequence[Call], counted: tuple[int, int]) -> Row:
    answered = [call for call in calls if call.ended < math.inf]
    times = [1000 * (call.ended - call.began) for call in answered]
    hundredths = quantiles(times, n=100) if len(times) > 1 else [math.nan] * 99
    return Row(
        chapter=chapter,
        calls=len(answered),
        writes=sum(call.wrote for call in answered),
        errors=sum(call.outcome in (Outcome.FAILED, Outcome.UNKNOWN) for call in answered),
        stale=sum(call.outcome is Outcome.STALE for call in answered),
        cut_off=len(calls) - len(answered),
        p50=hundredths[49],
        p99=hundredths[98],
        compared=counted[0],
        mismatched=counted[1],
    )


def _since(series: Iterable[Sequence[Counts]], began: float, end: float) -> tuple[int, int]:
    """Return how many shadow reads were made, and mismatched, in a time."""
    compared = mismatched = 0
    for counts in series:
        before = [count for count in counts if count.at < began][-1:] or [Counts(at=0, compared=0, mismatched=0)]
        within = [count for count in counts if count.at < end][-1:] or before
        compared += within[0].compared - before[0].compared
        mismatched += within[0].mismatched - before[0].mismatched
    return compared, mismatched


class Story:
    """Prints the demo as it goes on.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()

    def tell(self, step: str, meaning: str) -> None:
        """Print one step, and why it matters."""
        elapsed = time.monotonic() - self._began
        self._console.print(
            f"[dim]{elapsed:5.1f} s[/]  [bold cyan]{step:<9}[/]  {meaning}", highlight=False, soft_wrap=True
        )

    def show_stages(self, numbers: Sequence[Row]) -> None:
        """Print what the users noticed of each stage."""
        table = Table(title="What the users noticed", title_justify="left", title_style="bold")
        for name in ("stage", "what happened"):
            table.add_column(name)
        for name in ("calls", "errors", "stale reads", "p50 ms", "p99 ms", "marks open", "shadow reads", "mismatches"):
            table.add_column(name, justify="right")
        for row in numbers:
            table.add_row(
                row.chapter.stage,
                row.chapter.title + (f" ({row.cut_off} calls cut off)" if row.cut_off else ""),
                f"{row.calls:,}",
                _alarm(row.errors),
                _alarm(row.stale),
                f"{row.p50:.1f}",
                f"{row.p99:.1f}",
                f"{row.chapter.marks:,}",
                f"{row.compared:,}" if row.compared else "",
                _alarm(row.mismatched) if row.compared else "",
            )
        self._console.print()
        self._console.print(table)

    def show_verdicts(self, verdicts: Sequence[Verdict]) -> None:
        """Print what raw readings of the sides say about the acknowledged writes."""
        table = Table(title="What the servers hold, read without chatstore", title_justify="left", title_style="bold")
        table.add_column("side", no_wrap=True)
        for name in (
            "records",
            "there before",
            "acknowledged writes",
            "missing",
            "doubled",
            "back from the dead",
            "out of order",
            "foreign",
        ):
            table.add_column(name, justify="right")
        for verdict in verdicts:
            problems = (verdict.missing, verdict.doubled, verdict.undead, verdict.disordered, verdict.foreign)
            table.add_row(
                verdict.side,
                f"{verdict.records:,}",
                f"{verdict.before:,}",
                f"{verdict.acknowledged:,}",
                *(_alarm(len(found)) for found in problems),
            )
        self._console.print()
        self._console.print(table)
        for problem in [p for verdict in verdicts for p in verdict.problems][:_SHOWN_PROBLEMS]:
            self._console.print(f"  {problem}", style="red", markup=False, highlight=False)

    def say(self, text: str, *, style: str = "") -> None:
        """Print a sentence."""
        self._console.print(text, style=style, highlight=False, soft_wrap=True)


def _alarm(count: int) -> str:
    return f"[bold red]{count:,}[/]" if count else "0"

"""What a benchmark found: figures of one run, ours beside another's, and the table that they make."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison.

    Attributes:
        work: What was done.
        ours: How fast ours was, with its unit.
        beside: What it was measured beside, and how fast that was.
        ratio: Ours divided by the other, by what the target is about.
        at_least: The target, where more is better.
        at_most: The target, where less is better.
    """

    work: str
    ours: str
    beside: str
    ratio: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def target(self) -> str:
        """The target as text; empty where there is none."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "" if self.at_most is None else f"≤ {self.at_most:g}"

    @property
    def met(self) -> bool:
        """Whether the ratio reaches the target; true where there is none."""
        is_enough = self.at_least is None or self.ratio >= self.at_least
        return is_enough and (self.at_most is None or self.ratio <= self.at_most)


async def timed(work: Awaitable[T]) -> tuple[float, T]:
    """Return the seconds that some work took, and what came of it."""
    begun = time.perf_counter()
    done = await work
    return time.perf_counter() - begun, done


def per_second(count: int, seconds: float, noun: str) -> str:
    """Return a rate as text."""
    return f"{count / seconds:,.0f} {noun}/s"


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield "| work | ours | beside | ratio | target | |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for row in rows:
        verdict = "" if not row.target else "met" if row.met else "**missed**"
        yield f"| {row.work} | {row.ours} | {row.beside} | {row.ratio:.2f} | {row.target} | {verdict} |"


def show(rows: Sequence[Row]) -> None:
    """Print the comparisons, a line each."""
    for row in rows:
        target = f" (target {row.target}: {'met' if row.met else 'missed'})" if row.target else ""
        print(f"{row.work}: {row.ours}; {row.beside}; ratio {row.ratio:.2f}{target}", flush=True)

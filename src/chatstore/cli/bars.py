"""How far a run has come: a progress bar on a terminal, and now and then a line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from chatstore.cli.output import printable, say
from chatstore.migration import OnProgress, ProgressEvent
from chatstore.models import Kind

_LINE_EVERY = 5.0
_REASON_CHARACTERS = 100


@contextmanager
def progress_shown() -> Iterator[OnProgress]:
    """Show the events that are given to what it yields on stderr, for the length of the block."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[found]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        yield _Bars(bars)


class _Bars:
    """One bar a kind."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[Kind, TaskID] = {}

    def __call__(self, event: ProgressEvent) -> None:
        if event.kind not in self._tasks:
            self._tasks[event.kind] = self._bars.add_task(_doing(event), found="")
        self._bars.update(
            self._tasks[event.kind],
            description=_doing(event),
            total=event.total,
            completed=event.done,
            found=_found(event),
        )


class _Lines:
    """A line when something else begins, and every few seconds besides."""

    def __init__(self) -> None:
        self._doing = ""
        self._said_at = 0.0

    def __call__(self, event: ProgressEvent) -> None:
        doing, now = _doing(event), time.monotonic()
        if doing != self._doing or now - self._said_at >= _LINE_EVERY:
            self._doing, self._said_at = doing, now
            say(" ".join(filter(None, [doing, _far(event), _found(event)])))


def _doing(event: ProgressEvent) -> str:
    if event.waiting_for:
        return f"{event.kind}: waits for {printable(event.waiting_for)[:_REASON_CHARACTERS]}"
    return f"{event.kind}: {event.step}"


def _far(event: ProgressEvent) -> str:
    if event.total is None:
        return f"{event.done:,}"
    return f"{event.done:,} of about {event.total:,}"


def _found(event: ProgressEvent) -> str:
    found = [f"{event.rate:,.0f}/s"] if event.rate else []
    if event.quarantined:
        found.append(f"{event.quarantined:,} in quarantine")
    if event.differences:
        found.append(f"{event.differences:,} different")
    return ", ".join(found)

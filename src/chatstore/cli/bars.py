"""How far a run has come: a bar and a line of figures on a terminal, and now and then a line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from chatstore.cli.output import say
from chatstore.cli.telling import doing, far, found, line, servers, speed
from chatstore.migration import OnProgress, ProgressEvent
from chatstore.models import Kind

_LINE_EVERY = 5.0
_BAR_WIDTH = 40


@contextmanager
def progress_shown() -> Iterator[OnProgress]:
    """Show the events that are given to what it yields on stderr, for the length of the block."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    screen = _Screen()
    with Live(screen, console=console, refresh_per_second=8):
        try:
            yield screen
        finally:
            screen.ended = True


class _Screen:
    """A bar a kind, and below it what there is to say: the most telling first, as a line is cut at the edge."""

    def __init__(self) -> None:
        self.ended = False
        self._spinner = Spinner("dots")
        self._events: dict[Kind, ProgressEvent] = {}

    def __call__(self, event: ProgressEvent) -> None:
        self._events[event.kind] = event

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        for event in self._events.values():
            yield self._bar(event, options.max_width)
            for pieces in ((far(event), *found(event)), tuple(servers(event))):
                if pieces:
                    yield Text("  " + ", ".join(pieces), style="dim", no_wrap=True, overflow="ellipsis")

    def _bar(self, event: ProgressEvent, width: int) -> RenderableType:
        """Return `⠋ chat: copy ━━━━━ 24%, 20,134/s, about 3 min left`; what is waited for needs the room of the bar."""
        spinner, does = Text(" ") if self.ended else self._spinner, Text(doing(event))
        row = Table.grid(padding=(0, 1))
        row.add_column(width=1)
        row.add_column(no_wrap=True, overflow="ellipsis")
        if event.waiting_for or event.paused:
            row.add_row(spinner, does)
            return row
        share = [f"{min(1.0, event.done / event.total):.0%}"] if event.total else []
        after = Text(", ".join((*share, *speed(event))))
        row.add_column(width=max(5, min(_BAR_WIDTH, width - does.cell_len - after.cell_len - 6)))
        row.add_column(no_wrap=True, overflow="ellipsis")
        bar = ProgressBar(total=event.total, completed=event.done, pulse=event.total is None and not self.ended)
        row.add_row(spinner, does, bar, after)
        return row


class _Lines:
    """A line when something else begins, and every few seconds besides."""

    def __init__(self) -> None:
        self._doing = ""
        self._said_at = 0.0

    def __call__(self, event: ProgressEvent) -> None:
        does, now = doing(event), time.monotonic()
        if does != self._doing or now - self._said_at >= _LINE_EVERY:
            self._doing, self._said_at = does, now
            say(line(event))

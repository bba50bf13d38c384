"""How far a run has come, in words: each a piece of a line, the most telling ones first."""

from __future__ import annotations

from collections.abc import Iterator

from chatstore.cli.output import duration, moment, number, printable
from chatstore.migration import ProgressEvent, Tally
from chatstore.models import Kind, LoadSeen

_REASON_CHARACTERS = 100


def doing(event: ProgressEvent) -> str:
    """Return what the run does: `chat: copy`; or what it waits for."""
    if event.waiting_for:
        return f"{event.kind}: waits: {_cut(event.waiting_for)}"
    if event.paused:
        return f"{event.kind}: {printable(event.paused)}"
    return f"{event.kind}: {event.step}"


def far(event: ProgressEvent) -> str:
    """Return how far it has come: `1,200 of about 4,000`."""
    return f"{event.done:,}" if event.total is None else f"{event.done:,} of about {event.total:,}"


def speed(event: ProgressEvent) -> Iterator[str]:
    """Yield how fast it is, and for how long it goes on: `20,134/s`, `about 3 min left`."""
    if event.rate or event.average:
        yield f"{event.rate:,.0f}/s"
    if event.left and not event.waiting_for and not event.paused:
        yield f"about {duration(event.left)} left"


def found(event: ProgressEvent) -> Iterator[str]:
    """Yield what it met with: `2 in quarantine`, `3 retries`."""
    if event.differences:
        yield f"{event.differences:,} different"
    if event.quarantined:
        yield f"{event.quarantined:,} in quarantine"
    if event.retries:
        yield "1 retry" if event.retries == 1 else f"{event.retries:,} retries"
    if event.unchanged:
        yield f"{event.unchanged:,} there already"


def servers(event: ProgressEvent) -> Iterator[str]:
    """Yield how fast both servers answer: `source 0.3 ms`; where they were not asked, how long a record waits."""
    sides = (("source", event.source_load, event.reading), ("target", event.target_load, event.writing))
    for name, load, each in sides:
        if load is not None:
            share = "" if load.cpu_share is None else f" ({load.cpu_share:.0%} of a CPU)"
            yield f"{name} {moment(load.latency)}{share}"
        elif each is not None:
            yield f"{name} {moment(each)} a record"
    if event.at_once > 1:
        yield f"{event.at_once} batches at once"
    if event.limited and not event.paused:
        yield f"limited: {printable(event.limited)}"


def costs(source: LoadSeen | None, target: LoadSeen | None) -> Iterator[str]:
    """Yield what a run meant for both servers: `source: answered in 0.4 ms on average, 0.3 ms before; …`."""
    for name, load in (("source", source), ("target", target)):
        if load is None:
            continue
        answers = (
            f"answered in {moment(load.latency)} on average, {moment(load.latency_worst)} at worst, "
            f"{moment(load.latency_before)} before"
        )
        used = [] if load.cpu_share is None else [f"{load.cpu_share:.0%} of a CPU"]
        did = [] if load.operations is None else [f"{load.operations:,.0f} operations a second"]
        yield f"{name}: {'; '.join([answers, ', '.join([*used, *did])]) if used or did else answers}"


def line(event: ProgressEvent) -> str:
    """Return all of it, on one line: `chat: copy: 1,200 of about 4,000, 50/s, 2 in quarantine`."""
    pieces = [far(event), *speed(event), *found(event), *servers(event)]
    return f"{doing(event)}: {', '.join(pieces)}"


def records(kind: Kind, tally: Tally) -> str:
    """Return how many records these are: `2 sessions and 3 messages`."""
    if kind is Kind.DOCUMENTS:
        return number(tally.documents, "document")
    return f"{number(tally.sessions, 'session')} and {number(tally.messages, 'message')}"


def _cut(error: str) -> str:
    """Return a server's reason, which may be of any length; all of it is in the log."""
    text = printable(error)
    return text if len(text) <= _REASON_CHARACTERS else f"{text[: _REASON_CHARACTERS - 1]}…"

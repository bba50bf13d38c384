"""`chatstore inspect`: looks at a Redis, and says what a migration would make of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from chatstore.cli.output import AsJson, Status, answer, end, say
from chatstore.cli.running import run
from chatstore.models import Kind

if TYPE_CHECKING:
    from chatstore.preflight import Rates, Report

_SAMPLE = 5_000
_LINE_EVERY = 5.0

_Sample = Annotated[int, typer.Option("--sample", min=1, help="How many keys to look at.", show_default="5,000")]
_All = Annotated[bool, typer.Option("--all", help="Look at every key, and read every record.")]
_Rate = Annotated[
    float | None, typer.Option("--rate", min=1, help="Send Redis no more commands a second than this.", metavar="N")
]
_Messages = Annotated[
    float | None,
    typer.Option("--messages-per-second", min=0.1, help="How fast Supabase takes messages.", metavar="N"),
]
_Documents = Annotated[
    float | None,
    typer.Option("--documents-per-second", min=0.1, help="How fast Chroma takes documents.", metavar="N"),
]


def register(app: typer.Typer) -> None:
    """Add the command to a program."""
    app.command()(inspect)


def inspect(
    *,
    sample: _Sample = _SAMPLE,
    every: _All = False,
    rate: _Rate = None,
    messages_per_second: _Messages = None,
    documents_per_second: _Documents = None,
    as_json: AsJson = False,
) -> None:
    """Look at Redis, and say what a migration would make of it.

    Which layouts are there and how much of each; what expires; whose it is; what would be quarantined, and what
    Supabase or the Chroma of the settings could not hold; how long it takes; and the settings to use. REDIS_URL is
    enough. It only reads, in small steps: any user will do who may read. Figures made of a sample are marked with
    "about". The exit status is 1 where something would be quarantined or could not be held.

    Example:  chatstore inspect --sample 20000
    """
    report = run(
        _look(None if every else sample, rate, _rates(messages_per_second, documents_per_second)),
        afterwards="nothing was changed",
    )
    if as_json:
        answer(_document(report), (), as_json=True)
    else:
        from chatstore.cli.inspection import show_report

        show_report(report)
    end(Status.DONE if report.is_fine else Status.WRONG_DATA)


async def _look(sample: int | None, rate: float | None, rates: dict[Kind, Rates]) -> Report:
    from chatstore.preflight import Wishes, preflight

    wishes = Wishes(sample=sample, commands_per_second=rate, rates=rates, on_progress=_Lines())
    with _warnings_left_to_the_report():
        return await preflight(wishes=wishes)


def _rates(messages: float | None, documents: float | None) -> dict[Kind, Rates]:
    from chatstore.preflight import Rates

    given = {Kind.CHAT: messages, Kind.DOCUMENTS: documents}
    return {kind: Rates(least=one, most=one, said=True) for kind, one in given.items() if one is not None}


@contextmanager
def _warnings_left_to_the_report() -> Iterator[None]:
    """Keep the log from saying what layouts warn of where they are used: the report has it, for each of them."""
    logger = logging.getLogger("chatstore.redis")
    before = logger.level
    logger.setLevel(max(before, logging.ERROR))
    try:
        yield
    finally:
        logger.setLevel(before)


class _Lines:
    """Says how far it has come, where it takes longer."""

    def __init__(self) -> None:
        self._said_at = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() - self._said_at >= _LINE_EVERY:
            self._said_at = time.monotonic()
            say(f"looked at {done:,} of about {total:,} keys")


def _document(report: Report) -> dict[str, object]:
    found = report.inspection
    return {
        "fine": report.is_fine,
        "server": found.server,
        "address": found.address,
        "keys": found.keys,
        "looked_at": found.looked_at,
        "complete": found.complete,
        "seconds": round(found.seconds, 3),
        "groups": found.groups,
        "own_keys": found.own,
        "other_databases": found.elsewhere,
        "unclaimed": found.unclaimed,
        "gaps": found.gaps,
        "targets": report.targets,
        "chosen": {kind: list(found.groups).index(group) for kind, group in report.chosen.items()},
        "durations": report.durations,
        "settings": report.settings,
        "advice": report.advice,
    }

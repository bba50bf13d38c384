"""`chatstore migrate`: copies what was there before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from chatstore.cli.kinds import Chat, Documents, named, open_kinds
from chatstore.cli.output import AsJson, Status, answer, duration, end, number, say, show
from chatstore.cli.running import run
from chatstore.models import Kind

if TYPE_CHECKING:
    from chatstore.migration import BackfillReport


def register(app: typer.Typer) -> None:
    """Add the command to a program."""
    app.command()(migrate)


def migrate(*, chat: Chat = False, documents: Documents = False, as_json: AsJson = False) -> None:
    """Copy what Redis holds to Supabase and Chroma.

    The app may go on writing meanwhile. The command may be stopped at any moment and called again: it goes on where it
    was. What cannot be taken goes to quarantine, and the exit status is 1.

    Example:  chatstore migrate --chat
    """
    kinds = named(chat=chat, documents=documents)
    command = " ".join(["chatstore migrate", *(f"--{kind}" for kind in kinds)])
    reports = run(
        _migrate(kinds, as_json=as_json),
        afterwards=f"what was copied is kept, and the next run goes on there: {command}",
    )
    if as_json:
        answer({report.kind: _document(report) for report in reports}, (), as_json=True)
    say("next: chatstore verify" if all(report.complete for report in reports) else "next: chatstore quarantine list")
    end(Status.DONE if all(report.complete for report in reports) else Status.WRONG_DATA)


async def _migrate(kinds: Sequence[Kind], *, as_json: bool) -> list[BackfillReport]:
    from chatstore.backends import Backends
    from chatstore.cli.bars import progress_shown
    from chatstore.settings import load_settings

    reports = []
    async with Backends(load_settings()) as backends:
        for opened in await open_kinds(backends, kinds, "migrate"):
            with progress_shown() as on_progress:
                report = await opened.backfill(on_progress=on_progress)
            reports.append(report)
            if not as_json:
                show(_lines(report))
    return reports


def _lines(report: BackfillReport) -> list[str]:
    copied = report.copied
    if report.kind is Kind.CHAT:
        what = f"{number(copied.sessions, 'session')} and {number(copied.messages, 'message')}"
    else:
        what = number(copied.documents, "document")
    again = ", with the runs that were stopped before" if report.resumed else ""
    lines = [f"{report.kind}: copied {what} in {duration(report.seconds)}{again}"]
    if not report.complete:
        held = number(report.quarantined, "record")
        lines.append(f"{report.kind}: could not take {held}: chatstore quarantine list --{report.kind}")
    return lines


def _document(report: BackfillReport) -> dict[str, object]:
    return {
        "copied": report.copied,
        "quarantined": report.quarantined,
        "resumed": report.resumed,
        "seconds": round(report.seconds, 3),
    }

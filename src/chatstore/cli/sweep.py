"""`chatstore sweep`: removes for good what has expired on the new side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from chatstore.cli.kinds import Chat, Documents, named
from chatstore.cli.output import AsJson, answer, number
from chatstore.cli.running import run
from chatstore.models import Kind, Swept

if TYPE_CHECKING:
    from chatstore.backends import Backends
    from chatstore.migration import DocumentsSwept


def register(app: typer.Typer) -> None:
    """Add the command to a program."""
    app.command()(sweep)


def sweep(*, chat: Chat = False, documents: Documents = False, as_json: AsJson = False) -> None:
    """Remove for good what has expired in Supabase and Chroma.

    Nobody sees it any more anyway: this gives its room back. It may run at any time, beside apps and migrations, as
    often as you like: daily, say. What somebody is writing just then is left for the next time.

    Example:  chatstore sweep --json
    """
    reports = run(
        _sweep(named(chat=chat, documents=documents)),
        afterwards="what was removed is gone, the rest is still hidden: chatstore sweep",
    )
    answer(reports, [f"{kind}: {_line(report)}" for kind, report in reports.items()], as_json=as_json)


async def _sweep(kinds: Sequence[Kind]) -> Mapping[Kind, Swept | DocumentsSwept]:
    from chatstore.backends import Backends
    from chatstore.migration import sweep_chat, sweep_documents
    from chatstore.settings import load_settings

    async with Backends(load_settings()) as backends:
        reports: dict[Kind, Swept | DocumentsSwept] = {}
        for kind in kinds or _held(backends):
            if kind is Kind.CHAT:
                reports[kind] = await sweep_chat(await backends.new_chat())
            else:
                new = await backends.new_documents()
                old = await backends.old_documents() if backends.has_old(kind) else None
                reports[kind] = await sweep_documents(new, old)
        return reports


def _held(backends: Backends) -> Sequence[Kind]:
    """Return the kinds whose new side the settings name; both when they name none, so that what is missing is said."""
    return [kind for kind in Kind if backends.has_new(kind)] or list(Kind)


def _line(report: Swept | DocumentsSwept) -> str:
    if isinstance(report, Swept):
        return f"{number(report.sessions, 'session')} and {number(report.messages, 'message')} removed"
    left = f", {number(report.left, 'document')} left to writers that are at work" if report.left else ""
    return f"{number(report.documents, 'document')} removed{left}"

"""`chatstore repair`: brings the keys to the same state on both sides that are marked as different."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from chatstore.cli.kinds import Chat, Documents, Opened, named, open_kinds
from chatstore.cli.output import AsJson, Status, answer, end, number, say
from chatstore.cli.running import Stopped, run
from chatstore.models import Kind

if TYPE_CHECKING:
    from chatstore.routing import RepairReport, Round

_Watch = Annotated[
    bool, typer.Option("--watch", help="Go on repairing until Ctrl-C, and wait for a server that is away.")
]


def register(app: typer.Typer) -> None:
    """Add the command to a program."""
    app.command()(repair)


def repair(*, chat: Chat = False, documents: Documents = False, watch: _Watch = False, as_json: AsJson = False) -> None:
    """Merge every record on which the sides may differ.

    An app does this as it runs, but for what was written to one side on purpose, at off or complete. This does
    it all, now: before the way back, say. Any number of them, and of apps, share the work. With --watch it prints a
    line (with --json, an object a line) after each round in which something changed.

    Example:  chatstore repair --watch
    """
    kinds = named(chat=chat, documents=documents)
    if watch:
        _watch_until_stopped(kinds, as_json=as_json)
        return
    reports = run(_repair(kinds), afterwards="what was merged is kept, the rest stays marked: chatstore repair")
    lines = [line for kind, report in reports.items() for line in _lines(kind, report)]
    answer(reports, lines, as_json=as_json)
    end(Status.WRONG_DATA if any(report.quarantined for report in reports.values()) else Status.DONE)


def _watch_until_stopped(kinds: Sequence[Kind], *, as_json: bool) -> None:
    say("repairs until Ctrl-C")
    try:
        run(_watch(kinds, as_json=as_json), afterwards="")
    except Stopped:
        say("stopped")


async def _repair(kinds: Sequence[Kind]) -> dict[Kind, RepairReport]:
    from chatstore.backends import Backends
    from chatstore.settings import load_settings

    async with Backends(load_settings()) as backends:
        return {opened.kind: await opened.repairer.run() for opened in await open_kinds(backends, kinds, "repair")}


async def _watch(kinds: Sequence[Kind], *, as_json: bool) -> None:
    from chatstore.backends import Backends
    from chatstore.settings import load_settings

    async with Backends(load_settings()) as backends, asyncio.TaskGroup() as group:
        for opened in await open_kinds(backends, kinds, "repair --watch"):
            group.create_task(_tell(opened, as_json=as_json))


async def _tell(opened: Opened, *, as_json: bool) -> None:
    async for done in opened.repairer.rounds():
        answer(_document(opened.kind, done), [f"{opened.kind}: {done}"], as_json=as_json)


def _document(kind: Kind, done: Round) -> dict[str, object]:
    return {
        "kind": kind,
        **asdict(done.report),
        "rate": round(done.report.rate, 1),
        "marks": done.backlog.marks,
        "oldest_mark_seconds": done.oldest_seconds,
    }


def _lines(kind: Kind, report: RepairReport) -> list[str]:
    lines = [f"{kind}: {number(report.merged, 'mark')} cleared, {report.left:,} left to writers that are at work"]
    if report.quarantined:
        held = number(report.quarantined, "record")
        lines.append(f"{kind}: could not merge {held}: chatstore quarantine list --{kind}")
    return lines

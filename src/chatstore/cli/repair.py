"""`chatstore repair`: brings the keys to the same state on both sides that are marked as different."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from chatstore.cli.kinds import Chat, Documents, named, open_kinds
from chatstore.cli.output import AsJson, Status, answer, end, number, say
from chatstore.cli.running import Stopped, run
from chatstore.models import Kind

if TYPE_CHECKING:
    from chatstore.routing import RepairReport

_Watch = Annotated[
    bool, typer.Option("--watch", help="Go on repairing until Ctrl-C, and wait for a server that is away.")
]


def register(app: typer.Typer) -> None:
    """Add the command to a program."""
    app.command()(repair)


def repair(*, chat: Chat = False, documents: Documents = False, watch: _Watch = False, as_json: AsJson = False) -> None:
    """Merge every record on which the sides may differ.

    An app does this as it runs, but for what was written to one side on purpose, at off or complete. This does
    it all, now: before the way back, say.

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
    if as_json:
        raise typer.BadParameter("--watch has no end that --json could report")
    logger, before = logging.getLogger("chatstore.routing"), logging.getLogger("chatstore.routing").level
    # What it repairs is told in its log lines, of the level INFO.
    logger.setLevel(logging.INFO)
    say("repairs until Ctrl-C")
    try:
        run(_watch(kinds), afterwards="")
    except Stopped:
        say("stopped")
    finally:
        logger.setLevel(before)


async def _repair(kinds: Sequence[Kind]) -> dict[Kind, RepairReport]:
    from chatstore.backends import Backends
    from chatstore.settings import load_settings

    async with Backends(load_settings()) as backends:
        return {opened.kind: await opened.repairer.run() for opened in await open_kinds(backends, kinds, "repair")}


async def _watch(kinds: Sequence[Kind]) -> None:
    from chatstore.backends import Backends
    from chatstore.settings import load_settings

    async with Backends(load_settings()) as backends, asyncio.TaskGroup() as group:
        for opened in await open_kinds(backends, kinds, "repair --watch"):
            group.create_task(opened.repairer.watch())


def _lines(kind: Kind, report: RepairReport) -> list[str]:
    lines = [f"{kind}: {number(report.merged, 'mark')} cleared, {report.left:,} left to writers that are at work"]
    if report.quarantined:
        held = number(report.quarantined, "record")
        lines.append(f"{kind}: could not merge {held}: chatstore quarantine list --{kind}")
    return lines

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
from chatstore.errors import UnavailableError, UnsupportedError
from chatstore.models import Kind

if TYPE_CHECKING:
    from chatstore.backends import Backends
    from chatstore.redis import ForeignWrites
    from chatstore.routing import RepairReport, Round

_LOOK_AGAIN_SECONDS = 2.0

_Watch = Annotated[
    bool, typer.Option("--watch", help="Go on repairing until Ctrl-C, and wait for a server that is away.")
]
_Enable = Annotated[
    bool,
    typer.Option(
        "--enable-notifications",
        help="With --watch: have the Redis server tell of other programs' writes (CONFIG SET notify-keyspace-events).",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to a program."""
    app.command()(repair)


def repair(
    *,
    chat: Chat = False,
    documents: Documents = False,
    watch: _Watch = False,
    enable_notifications: _Enable = False,
    as_json: AsJson = False,
) -> None:
    """Merge every record on which the sides may differ.

    An app does this as it runs, but for what was written to one side on purpose, at off or complete. This does
    it all, now: before the way back, say. Any number of them, and of apps, share the work. With --watch it prints a
    line (with --json, an object a line) after each round in which something changed, and marks what other programs
    write to Redis directly, where the server tells of it.

    Example:  chatstore repair --watch
    """
    kinds = named(chat=chat, documents=documents)
    if enable_notifications and not watch:
        raise typer.BadParameter("--enable-notifications is of use with --watch only")
    if watch:
        _watch_until_stopped(kinds, enable=enable_notifications, as_json=as_json)
        return
    reports = run(_repair(kinds), afterwards="what was merged is kept, the rest stays marked: chatstore repair")
    lines = [line for kind, report in reports.items() for line in _lines(kind, report)]
    answer(reports, lines, as_json=as_json)
    end(Status.WRONG_DATA if any(report.quarantined for report in reports.values()) else Status.DONE)


def _watch_until_stopped(kinds: Sequence[Kind], *, enable: bool, as_json: bool) -> None:
    say("repairs until Ctrl-C")
    try:
        run(_watch(kinds, enable=enable, as_json=as_json), afterwards="")
    except Stopped:
        say("stopped")


async def _repair(kinds: Sequence[Kind]) -> dict[Kind, RepairReport]:
    from chatstore.backends import Backends
    from chatstore.settings import load_settings

    async with Backends(load_settings()) as backends:
        return {opened.kind: await opened.repairer.run() for opened in await open_kinds(backends, kinds, "repair")}


async def _watch(kinds: Sequence[Kind], *, enable: bool, as_json: bool) -> None:
    from chatstore.backends import Backends
    from chatstore.settings import load_settings

    async with Backends(load_settings()) as backends, asyncio.TaskGroup() as group:
        kinds_opened = await _opened_at_last(backends, kinds)
        for opened in kinds_opened:
            group.create_task(_tell(opened, as_json=as_json))
        watches = [backends.foreign_writes(opened.kind, enable=enable) for opened in kinds_opened]
        group.create_task(_notice([writes for writes in watches if writes is not None]))


async def _opened_at_last(backends: Backends, kinds: Sequence[Kind]) -> Sequence[Opened]:
    complaint = ""
    while True:
        try:
            return await open_kinds(backends, kinds, "repair --watch")
        except UnavailableError as error:
            if str(error) != complaint:
                complaint = str(error)
                say(f"waits: {complaint}")
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)


async def _notice(watches: Sequence[ForeignWrites]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for writes in watches:
                group.create_task(writes.watch())
            for writes in watches:
                await writes.listening.wait()
            if watches:
                say("notices what other programs write to Redis")
    except* UnsupportedError as errors:
        say(f"does not notice what other programs write to Redis: {errors.exceptions[0]}")


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

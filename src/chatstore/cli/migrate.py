"""`chatstore migrate`: copies what was there before, or all of it back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from chatstore.cli.hands import Dask, Workers, hands
from chatstore.cli.kinds import Chat, Documents, named, open_kinds
from chatstore.cli.limiting import (
    AtOnce,
    Between,
    Changes,
    MaxLatency,
    MaxSourceLatency,
    MaxTargetLatency,
    Rate,
    set_before,
)
from chatstore.cli.output import AsJson, Status, answer, duration, end, number, say, show
from chatstore.cli.report import Record, ReportPath, kept
from chatstore.cli.running import run
from chatstore.models import Kind, Side

if TYPE_CHECKING:
    from chatstore.migration import BackfillReport

_Back = Annotated[bool, typer.Option("--back", help="Copy what Supabase and Chroma hold to Redis instead.")]


def register(app: typer.Typer) -> None:
    """Add the command to a program."""
    app.command()(migrate)


def migrate(
    *,
    chat: Chat = False,
    documents: Documents = False,
    back: _Back = False,
    workers: Workers = None,
    dask: Dask = None,
    rate: Rate = None,
    max_latency: MaxLatency = None,
    max_source_latency: MaxSourceLatency = None,
    max_target_latency: MaxTargetLatency = None,
    between: Between = None,
    at_once: AtOnce = None,
    report: ReportPath = None,
    as_json: AsJson = False,
) -> None:
    """Copy what Redis holds to Supabase and Chroma, or back.

    The app may go on writing meanwhile. The command may be stopped at any moment and called again: it goes on where it
    was. What cannot be taken goes to quarantine, and the exit status is 1.

    With --back, Redis gets all that the new side holds, and loses what was deleted there, in the app's own layout. That
    is for a Redis that was emptied or lost, and for a way back that was closed: a verify that finds both sides equal
    opens it again; until then there is no copy from Redis, which may be behind, and the exit status is 2. As long as
    the way back is kept, the marks say what Redis lacks, and `chatstore repair` is enough.

    Batches are copied by this process; by several of them with --workers, or by a Dask cluster's with --dask. Who
    copies may change from run to run.

    Beside an app that is busy, limit it: by --rate, by --max-latency, or to a part of the day by --between. `chatstore
    limits` changes that while it runs, `chatstore pause` and `chatstore resume` hold it and let it go on.

    Example:  chatstore migrate --chat --workers 4
    """
    changes = Changes(
        rate=rate,
        max_latency=max_latency,
        max_source_latency=max_source_latency,
        max_target_latency=max_target_latency,
        between=between,
        at_once=at_once,
    )
    kinds = named(chat=chat, documents=documents)
    by = [*([f"--workers {workers}"] if workers else []), *([f"--dask {dask}"] if dask else [])]
    command = " ".join(["chatstore migrate", *(["--back"] if back else []), *(f"--{kind}" for kind in kinds), *by])
    with kept(report, " ".join([command, *changes.options()])) as record:
        reports = run(
            _migrate(kinds, changes, back=back, workers=workers, dask=dask, as_json=as_json, record=record),
            afterwards=f"what was copied is kept, and the next run goes on there: {command}",
        )
    if as_json:
        answer({report.kind: _document(report) for report in reports}, (), as_json=True)
    say("next: chatstore verify" if all(report.complete for report in reports) else "next: chatstore quarantine list")
    end(Status.DONE if all(report.complete for report in reports) else Status.WRONG_DATA)


async def _migrate(
    kinds: Sequence[Kind],
    changes: Changes,
    *,
    back: bool,
    workers: int | None,
    dask: str | None,
    as_json: bool,
    record: Record,
) -> list[BackfillReport]:
    from chatstore.backends import Backends
    from chatstore.cli.bars import progress_shown
    from chatstore.migration import BackfillOptions
    from chatstore.migration.limits import Limits
    from chatstore.settings import load_settings

    changes.of(Limits())  # What means nothing is refused before anything is opened.
    reports = []
    async with AsyncExitStack() as opening:
        record.settings = load_settings()
        backends = await opening.enter_async_context(Backends(record.settings))
        kinds_opened = await open_kinds(backends, kinds, "migrate --back" if back else "migrate")
        copying = await opening.enter_async_context(hands(backends, workers=workers, dask=dask))
        for opened in kinds_opened:  # All before the first begins: what an operator changes meanwhile stays.
            await set_before(backends.progress(opened.kind), changes)
        for opened in kinds_opened:
            copy, runner = opened.bring_back if back else opened.backfill, copying.of(opened.kind)
            options = BackfillOptions() if runner is None else BackfillOptions(at_once=runner.at_once)
            async with record.chapter(opened.kind, backends.progress(opened.kind)) as chapter:
                with progress_shown() as shown:
                    report = await copy(on_progress=chapter.listening(shown), options=options, runner=runner)
                chapter.report = report
            reports.append(report)
            if not as_json:
                show(_lines(report))
    return reports


def _lines(report: BackfillReport) -> list[str]:
    from chatstore.cli.telling import costs, records

    again = ", with the runs that were stopped before" if report.resumed else ""
    copied_to = "copied back" if report.target is Side.OLD else "copied"
    already = f"; {records(report.kind, report.unchanged)} were there already" if report.unchanged.records else ""
    copied = records(report.kind, report.copied)
    lines = [f"{report.kind}: {copied_to} {copied} in {duration(report.seconds)}{again}{already}"]
    lines += [f"{report.kind}: {cost}" for cost in costs(report.source_load, report.target_load)]
    lines += [f"{report.kind}: note: {note}" for note in report.notes]
    if not report.complete:
        held = number(report.quarantined, "record")
        lines.append(f"{report.kind}: could not take {held}: chatstore quarantine list --{report.kind}")
    return lines


def _document(report: BackfillReport) -> dict[str, object]:
    return {
        "source": report.source,
        "target": report.target,
        "copied": report.copied,
        "unchanged": report.unchanged,
        "quarantined": report.quarantined,
        "retries": report.retries,
        "resumed": report.resumed,
        "seconds": round(report.seconds, 3),
        "source_load": report.source_load,
        "target_load": report.target_load,
        "notes": report.notes,
    }

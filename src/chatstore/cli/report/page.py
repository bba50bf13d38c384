"""The page, from what was recorded."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from string import Template

from chatstore.cli.output import duration, moment, number
from chatstore.cli.report.places import places
from chatstore.cli.report.plots import plots
from chatstore.cli.report.record import Chapter, Record
from chatstore.cli.report.text import NONE, facts, safe, table
from chatstore.cli.telling import records
from chatstore.migration import BackfillReport, StepTime, VerifyReport
from chatstore.models import LoadSeen

_LIBRARIES = ("chatstore", "redis", "supabase", "psycopg", "chromadb")

_PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<main>
<header>
<h1>$command</h1>
<p class="outcome $tone">$outcome</p>
$facts</header>
$chapters<section>
<h2>Settings and versions</h2>
$settings</section>
</main>
</body>
</html>
"""
)


def page(record: Record) -> str:
    """Return the whole page."""
    outcome, tone = _outcome(record)
    seconds = ((record.ended_at or record.started_at) - record.started_at).total_seconds()
    return _PAGE.substitute(
        title=safe(f"{record.command}, {record.started_at:%Y-%m-%d %H:%M} UTC"),
        style=files(__package__).joinpath("style.css").read_text(encoding="utf-8"),
        command=safe(record.command),
        outcome=safe(outcome, 1000),
        tone=tone,
        facts=facts(
            [
                ("Began", f"{record.started_at:%Y-%m-%d %H:%M:%S} UTC"),
                ("Took", duration(seconds)),
                ("Ran on", f"{record.host} (pid {record.pid})"),
            ]
        ),
        chapters="".join(_chapter(chapter) for chapter in record.chapters),
        settings=facts([*([] if record.settings is None else places(record.settings)), *_versions()]),
    )


def _outcome(record: Record) -> tuple[str, str]:
    """Return how the command came out, and whether that is good, bad or neither."""
    if record.stopped:
        return record.stopped, "bad"
    reports = [chapter.report for chapter in record.chapters if chapter.report is not None]
    held = sum(report.quarantined for report in reports)
    different = sum(report.difference_count for report in reports if isinstance(report, VerifyReport))
    said = [number(different, "difference")] if different else []
    said += [f"{number(held, 'record')} in quarantine"] if held else []
    if said:
        return " and ".join(said), "bad"
    if any(isinstance(report, VerifyReport) and not report.backfilled for report in reports):
        return "equal, but not recorded as verified, because no backfill has come to its end", "neither"
    if any(isinstance(report, VerifyReport) for report in reports):
        return "Both sides are equal.", "good"
    return "Every record was taken.", "good"


def _chapter(chapter: Chapter) -> str:
    report = chapter.report
    samples, steps = (
        (chapter.history.samples, chapter.history.steps) if report is None else (report.samples, report.steps)
    )
    parts = [f"<section>\n<h2>{safe(chapter.kind).capitalize()}</h2>\n", facts(_figures(chapter))]
    if isinstance(report, BackfillReport):
        parts += _servers(report)
        parts += [f'<p class="note">{safe(note, 1000)}</p>\n' for note in report.notes]
    if isinstance(report, VerifyReport):
        parts += _differences(report)
    parts += _quarantine(chapter)
    parts += ["<h3>How long each step took</h3>\n", _steps(steps), plots(samples), "</section>\n"]
    return "".join(parts)


def _figures(chapter: Chapter) -> Iterator[tuple[str, object]]:
    report, last = chapter.report, chapter.history.last
    if isinstance(report, BackfillReport):
        yield "Way", f"from the {report.source} side to the {report.target} side"
        yield "Copied", records(chapter.kind, report.copied)
        yield "There already", records(chapter.kind, report.unchanged)
        yield "In quarantine", number(report.quarantined, "record")
        yield (
            "Resumed",
            "yes: the figures are those of the runs that were stopped before, too" if report.resumed else "no",
        )
    elif isinstance(report, VerifyReport):
        yield "Compared on the old side", records(chapter.kind, report.old)
        yield "Compared on the new side", records(chapter.kind, report.new)
        if report.by_digest.records:
            yield "Of these by digests, unread", records(chapter.kind, report.by_digest)
        if report.proved:
            yield "Found by searching", number(report.proved, "document")
        yield "Differences", f"{report.difference_count:,}"
        yield "Not compared, in quarantine", number(report.quarantined, "record")
    elif last is not None:
        yield "Ended in", last.step
        yield "Records behind it", f"{last.done:,}" + ("" if last.total is None else f" of about {last.total:,}")
        yield "In quarantine", number(last.quarantined, "record")
        if last.waiting_for:
            yield "Waited for", last.waiting_for
    retries = report.retries if report is not None else last.retries if last is not None else 0
    yield "Tried again", f"{retries:,} times" if retries != 1 else "once"
    if report is not None:
        yield "Took", duration(report.seconds)


def _servers(report: BackfillReport) -> Iterator[str]:
    sides = [("source", report.source_load), ("target", report.target_load)]
    rows = [
        (f"{name} ({side})", *_load(load))
        for (name, load), side in zip(sides, (report.source, report.target), strict=True)
        if load
    ]
    if rows:
        yield "<h3>How busy the servers were</h3>\n"
        yield table(("server", "latency", "before", "at worst", "CPU", "ops/s"), rows, numbers=True)


def _load(load: LoadSeen) -> tuple[str, ...]:
    return (
        *(moment(seconds) for seconds in (load.latency, load.latency_before, load.latency_worst)),
        NONE if load.cpu_share is None else f"{load.cpu_share:.0%}",
        NONE if load.operations is None else f"{load.operations:,.0f}",
    )


def _steps(steps: Sequence[StepTime]) -> str:
    rows = [
        (
            step.step,
            duration(step.seconds),
            duration(step.stood) if step.stood else NONE,
            f"{step.records:,}",
            f"{step.records / step.seconds:,.0f}" if step.records and step.seconds > 0 else NONE,
        )
        for step in steps
    ]
    return table(("step", "took", "of it waiting", "records", "records/s"), rows, numbers=True)


def _differences(report: VerifyReport) -> Iterator[str]:
    if not report.differences:
        return
    yield "<h3>Differences</h3>\n<p>Contents are shown by their digests only.</p>\n"
    rows = [(found.key, found.field, found.old, found.new) for found in report.differences]
    yield table(("record", "field", "old side", "new side"), rows)
    yield from _more(report.difference_count - len(rows))


def _quarantine(chapter: Chapter) -> Iterator[str]:
    if chapter.quarantine_count is None:
        yield "<h3>Quarantine</h3>\n<p>It could not be read when this page was written.</p>\n"
    elif chapter.quarantined:
        yield "<h3>Quarantine</h3>\n<p>Where each record lies and why it could not be taken; not what it holds.</p>\n"
        yield table(("key", "reason"), [(record.key, record.reason) for record in chapter.quarantined])
        yield from _more(chapter.quarantine_count - len(chapter.quarantined))


def _more(count: int) -> Iterator[str]:
    if count > 0:
        yield f"<p>… and {count:,} more.</p>\n"


def _versions() -> Iterator[tuple[str, str]]:
    yield "Python", platform.python_version()
    for name in _LIBRARIES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue

"""`chatstore verify`: proves that both sides are equal, or lists where they are not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from chatstore.cli.as_user import AsUser, AsUserOptions, Claims, Rows, Seed, User, Users, Writes, verify_as_user
from chatstore.cli.kinds import Chat, Documents, named, open_kinds
from chatstore.cli.output import AsJson, Status, answer, duration, end, number, say, show
from chatstore.cli.report import Record, ReportPath, kept
from chatstore.cli.running import run
from chatstore.models import Kind

if TYPE_CHECKING:
    from chatstore.migration import Tally, VerifyReport

_SHOWN = 20
_INDEX = "index"
"""The field of a difference that is a document which a search does not find."""


def register(app: typer.Typer) -> None:
    """Add the command to a program."""
    app.command()(verify)


def verify(
    *,
    chat: Chat = False,
    documents: Documents = False,
    as_user: AsUser = False,
    user: User = None,
    users: Users = None,
    seed: Seed = None,
    rows: Rows = None,
    writes: Writes = False,
    claims: Claims = None,
    report: ReportPath = None,
    as_json: AsJson = False,
) -> None:
    """Prove both sides equal, or list the differences.

    Every record is compared, by its content or by digests of it, while the app may go on writing. Where all is equal,
    that is recorded, and reads may move to the new side; and back to the old one, where the way back was closed and
    `chatstore migrate --back` has run. Differences are listed by record and field, contents by their digests only, and
    the exit status is 1.

    With --as-user nothing is compared: Supabase is read as some of its users, by SQL, to find policies that hide their
    own records from them or show those of others. It needs SUPABASE_DB_URL, and changes nothing.

    Example:  chatstore verify --documents
    """
    options = AsUserOptions(user=user, users=users, seed=seed, rows=rows, writes=writes, claims=claims)
    if as_user:
        verify_as_user(options, documents=documents, with_report=report is not None, as_json=as_json)
        return
    options.check_none_given()
    kinds = named(chat=chat, documents=documents)
    command = " ".join(["chatstore verify", *(f"--{kind}" for kind in kinds)])
    with kept(report, command) as record:
        reports = run(
            _verify(kinds, as_json=as_json, record=record),
            afterwards="nothing was recorded; chatstore verify begins from the start",
        )
    if as_json:
        answer({report.kind: _document(report) for report in reports}, (), as_json=True)
    for line in _advice(reports):
        say(line)
    end(_status(reports))


async def _verify(kinds: Sequence[Kind], *, as_json: bool, record: Record) -> list[VerifyReport]:
    from chatstore.backends import Backends
    from chatstore.cli.bars import progress_shown
    from chatstore.settings import load_settings

    reports = []
    record.settings = load_settings()
    async with Backends(record.settings) as backends:
        for opened in await open_kinds(backends, kinds, "verify"):
            async with record.chapter(opened.kind, backends.progress(opened.kind)) as chapter:
                with progress_shown() as shown:
                    report = await opened.verify(on_progress=chapter.listening(shown))
                chapter.report = report
            reports.append(report)
            if not as_json:
                show(_lines(report))
    return reports


def _status(reports: Sequence[VerifyReport]) -> Status:
    if any(report.difference_count or report.quarantined for report in reports):
        return Status.WRONG_DATA
    return Status.DONE if all(report.backfilled for report in reports) else Status.CANNOT


def _lines(report: VerifyReport) -> Iterator[str]:
    outcome = "equal" if report.equal else number(report.difference_count, "difference")
    compared = f"{_records(report.old)} on the old side, {_records(report.new)} on the new one"
    yield f"{report.kind}: {outcome}; compared {compared}, in {duration(report.seconds)}"
    if report.by_digest.records:
        yield f"{report.kind}: {_records(report.by_digest)} of these without reading them, by their digests"
    if report.proved:
        yield f"{report.kind}: {number(report.proved, 'document')} found by searching"
    for difference in report.differences[:_SHOWN]:
        yield f"  {difference.key}  {difference.field}  old: {difference.old}; new: {difference.new}"
    if report.difference_count > _SHOWN:
        listed = f"--json lists the first {len(report.differences)}"
        yield f"  … and {report.difference_count - _SHOWN:,} more; {listed}"
    if report.reopened:
        yield f"{report.kind}: the way back is open again"
    if report.quarantined:
        held = number(report.quarantined, "record")
        yield f"{report.kind}: not compared {held} in quarantine: chatstore quarantine list --{report.kind}"


def _records(tally: Tally) -> str:
    numbers = {"session": tally.sessions, "message": tally.messages, "document": tally.documents}
    return " and ".join(number(count, noun) for noun, count in numbers.items() if count) or "no record"


def _advice(reports: Sequence[VerifyReport]) -> Iterator[str]:
    for report in reports:
        if not report.equal:
            unfound = sum(difference.field == _INDEX for difference in report.differences)
            if unfound:
                yield (
                    f"index: {number(unfound, 'document')} in Chroma not found by its search index, which migrate does "
                    "not mend: write each anew by the app's own upsert, or rebuild the collection"
                )
            if report.difference_count > unfound:
                back = "--back " if report.way_back_closed else ""
                yield f"next: chatstore migrate {back}--{report.kind}, then chatstore verify --{report.kind}"
                yield "what stays different then was changed on one side by another program: mend it there"
            else:
                yield f"next, when that is done: chatstore verify --{report.kind}"
        elif not report.backfilled:
            yield (
                f"{report.kind}: not recorded as verified, because no backfill has come to its end: "
                f"chatstore migrate --{report.kind}, then chatstore verify --{report.kind}"
            )
        elif report.reopened:
            yield f"next: chatstore stage {report.kind} rampdown, then chatstore repair --{report.kind}"
        elif not report.way_back_closed:
            yield f"next: chatstore stage {report.kind} shadow"


def _document(report: VerifyReport) -> dict[str, object]:
    return {
        "equal": report.equal,
        "backfilled": report.backfilled,
        "way_back_closed": report.way_back_closed,
        "reopened": report.reopened,
        "difference_count": report.difference_count,
        "differences": report.differences,
        "compared": {"old": report.old, "new": report.new},
        "by_digest": report.by_digest,
        "found_by_search": report.proved,
        "quarantined": report.quarantined,
        "seconds": round(report.seconds, 3),
    }

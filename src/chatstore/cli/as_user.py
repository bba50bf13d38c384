"""The option `--as-user` of `chatstore verify`: Supabase read as its users would, through row-level security."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated

import typer

from chatstore.cli.output import Status, answer, duration, end, number, printable, say
from chatstore.cli.running import run
from chatstore.errors import ConfigurationError
from chatstore.models import Kind

if TYPE_CHECKING:
    from chatstore.supabase import AsUserReport, Finding, Visit

AsUser = Annotated[
    bool,
    typer.Option("--as-user", help="Compare nothing; read Supabase as some of its users, through row-level security."),
]
User = Annotated[
    list[str] | None, typer.Option("--user", metavar="ID", help="With --as-user: as this user. May be given again.")
]
Users = Annotated[
    int | None, typer.Option("--users", min=1, metavar="N", help="With --as-user: as so many, drawn by chance; 20.")
]
Seed = Annotated[
    int | None, typer.Option("--seed", metavar="N", help="With --as-user: draw them as the run that told this number.")
]
Rows = Annotated[
    int | None,
    typer.Option(
        "--rows",
        min=1,
        metavar="N",
        help="With --as-user: look for records of others among about so many messages; 1,000,000.",
    ),
]
Claims = Annotated[
    str | None,
    typer.Option(
        "--claims",
        metavar="JSON",
        help="With --as-user: what the app's tokens say beside `sub`, where policies ask it.",
    ),
]

Writes = Annotated[
    bool,
    typer.Option(
        "--writes",
        help="With --as-user: try writing, too, what is theirs and what is not; each attempt is undone at once.",
    ),
]

_SHOWN = 20
_SESSIONS_SHOWN = 3
_LINE_EVERY = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AsUserOptions:
    """What goes with `--as-user`; None where it was not given."""

    user: Sequence[str] | None = None
    users: int | None = None
    seed: int | None = None
    rows: int | None = None
    writes: bool = False
    claims: str | None = None

    def check_none_given(self) -> None:
        """Check that no option was given that means nothing without `--as-user`.

        Raises:
            ConfigurationError: One was.
        """
        given = [f"--{field.name}" for field in fields(self) if _is_given(getattr(self, field.name))]
        if given:
            raise ConfigurationError(f"{' and '.join(given)}: only with --as-user, as in chatstore verify --as-user")

    def wanted(self) -> dict[str, object]:
        """Return the arguments for `verify_as_users`.

        Raises:
            ConfigurationError: The claims are no JSON object.
        """
        numbers = {name: getattr(self, name) for name in ("users", "seed", "rows")}
        held = {name: value for name, value in numbers.items() if value is not None}
        return {"user_ids": self.user or (), "claims": _claims(self.claims), "writes": self.writes, **held}


def _is_given(value: object) -> bool:
    return value is not None and value is not False and value != []


def verify_as_user(options: AsUserOptions, *, documents: bool, with_report: bool, as_json: bool) -> None:
    """Do what `chatstore verify --as-user` does, and end the command.

    Raises:
        ConfigurationError: A setting is missing, or an option does not go with it.
    """
    if documents:
        raise ConfigurationError("--as-user is of Supabase's row-level security: Chroma, with the documents, has none")
    if with_report:
        raise ConfigurationError("--report is of a comparison: with --as-user, use --json to keep what was found")
    report = run(_verify(options.wanted()), afterwards="nothing has changed: chatstore verify --as-user begins anew")
    answer({Kind.CHAT: _document(report)}, _lines(report), as_json=as_json)
    for line in _advice(report, drawn=not options.user):
        say(line)
    end(_status(report))


async def _verify(wanted: Mapping[str, object]) -> AsUserReport:
    from chatstore.backends import Backends
    from chatstore.settings import load_settings
    from chatstore.supabase import verify_as_users

    async with Backends(load_settings()) as backends:
        database = backends.supabase_database()
        old = await backends.old_chat() if backends.has_old(Kind.CHAT) else None
        return await verify_as_users(database, old=old, on_visit=_Told(), **wanted)  # type: ignore[arg-type]


class _Told:
    """Tells on stderr how far it is, now and then."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, done: int, count: int) -> None:
        now = time.monotonic()
        if now - self._last >= _LINE_EVERY:
            self._last = now
            say(f"chat: read as {done} of {count} visitors")


def _claims(text: str | None) -> Mapping[str, object]:
    if text is None:
        return {}
    try:
        claims = json.loads(text)
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise ConfigurationError('--claims is no JSON object: give it as in \'{"org_id": "acme"}\'')
    return claims


def _status(report: AsUserReport) -> Status:
    if report.findings:
        return Status.WRONG_DATA
    return Status.DONE if any(visit.sessions for visit in report.visits) else Status.CANNOT


def _lines(report: AsUserReport) -> Iterator[str]:
    wrong = sum(bool(visit.findings) for visit in report.visits)
    outcome = f"something is wrong for {wrong} of them" if wrong else "each sees all of their own, and nothing else"
    outsiders = len(report.visits) - report.users_checked
    yield (
        f"chat: read as {report.users_checked:,} of {number(report.users, 'user')} (seed {report.seed}) and as "
        f"{outsiders} visitors who own nothing, in {duration(report.seconds)}: {outcome}"
    )
    # Those for whom something is wrong first.
    shown = sorted(report.visits, key=lambda visit: not visit.findings)[: max(_SHOWN, wrong)]
    for visit in shown:
        yield from _visit_lines(visit)
    if len(shown) < len(report.visits):
        yield f"  … and {len(report.visits) - len(shown):,} more, all ok"
    yield _searched(report)
    for sentence in report.unsearched:
        yield f"chat: {printable(sentence)}"


def _visit_lines(visit: Visit) -> Iterator[str]:
    from chatstore.supabase import OUTSIDERS

    own = f": {number(visit.sessions, 'session')} and {number(visit.messages, 'message')} of their own"
    told = "" if visit.old_sessions is None else f", {number(visit.old_sessions, 'session')} by the old side"
    looked_for = "" if visit.visitor in OUTSIDERS else own + told
    yield f"  {printable(visit.visitor)}  {'wrong' if visit.findings else 'ok'}{looked_for}"
    for finding in visit.findings:
        yield f"    {printable(_finding(finding))}"


def _finding(finding: Finding) -> str:
    if finding.error or finding.attempt:
        said = (finding.attempt and f"to {finding.attempt}", finding.error)
        return "  ".join(filter(None, (finding.wrong, finding.place, *said)))
    rows = number(finding.rows, "row") + (" or more" if finding.at_least else "")
    ids = ", ".join(finding.sessions[:_SESSIONS_SHOWN])
    more = ", …" if len(finding.sessions) > _SESSIONS_SHOWN else ""
    return f"{finding.wrong}  {finding.place}  {rows}" + (f"; sessions {ids}{more}" if ids else "")


def _searched(report: AsUserReport) -> str:
    among = number(report.sessions, "session")
    if report.sessions_searched < report.sessions:
        among = f"{report.sessions_searched:,} of {among} (--rows looks among more)"
    tables = ", ".join(place for place in report.places if not place.endswith("()"))
    return f"chat: records of others were looked for among {among}, in {tables}, and by the functions that apps call"


def _advice(report: AsUserReport, *, drawn: bool) -> Iterator[str]:
    from chatstore.supabase import Wrong

    for suspect in report.suspects:
        for reason in suspect.reasons:
            yield f"look at: {printable(reason)}"
    wrongs = {finding.wrong for finding in report.findings}
    if wrongs & {Wrong.MISOWNED, Wrong.MISSING}:
        yield (
            "misowned and missing are of the data, and not of a policy: chatstore migrate --chat, then chatstore "
            "verify --chat; what lies in quarantine, chatstore quarantine list --chat tells"
        )
    if report.findings:
        yield f"then: chatstore verify --as-user --seed {report.seed}" if drawn else "then: the same command again"
    elif not any(visit.sessions for visit in report.visits):
        yield "no user with a session was looked at, so nothing is shown by this: chatstore migrate --chat first"


def _document(report: AsUserReport) -> dict[str, object]:
    return {
        "ok": not report.findings,
        "users": report.users,
        "users_checked": report.users_checked,
        "seed": report.seed,
        "visits": report.visits,
        "sessions": report.sessions,
        "sessions_searched": report.sessions_searched,
        "places": report.places,
        "unsearched": report.unsearched,
        "suspects": report.suspects,
        "seconds": round(report.seconds, 3),
    }

"""`chatstore status`: where the migration stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import typer

from chatstore.cli.kinds import Chat, Documents, kinds_of, named
from chatstore.cli.output import AsJson, Status, answer, duration, end, number, printable
from chatstore.cli.running import run
from chatstore.models import Kind, Side, utc_now

if TYPE_CHECKING:
    from chatstore.backends import Backends
    from chatstore.cli.runs import Runs
    from chatstore.cli.sides import Sight, View
    from chatstore.routing.flags.file import StageFlag

_LABEL = 12


@dataclass(frozen=True, slots=True)
class _Standing:
    """Where one kind stands. What lies with the old side is None when that is away."""

    view: View
    flag: StageFlag | None
    quarantined: int | None
    runs: Runs | None

    @property
    def status(self) -> Status:
        if any(sight.error is not None for sight in self.view.sides.values()):
            return Status.CANNOT
        return Status.WRONG_DATA if self.quarantined else Status.DONE


def register(app: typer.Typer) -> None:
    """Add the command to a program."""
    app.command()(status)


def status(*, chat: Chat = False, documents: Documents = False, as_json: AsJson = False) -> None:
    """Show where the migration stands.

    For each kind that has both sides in the settings: its stage, what was copied and verified when, the marks on each
    side (writes that the other side has not yet), what is in quarantine; and how far a migrate or a verify is that is
    under way in any process, on any machine, or where one was stopped. A side that is away is said to be, and the exit
    status is 2.

    Example:  chatstore status --json
    """
    standings = run(_standings(named(chat=chat, documents=documents)), afterwards="nothing was changed")
    lines = [line for kind, standing in standings.items() for line in _lines(kind, standing)]
    answer({kind: _document(standing) for kind, standing in standings.items()}, lines, as_json=as_json)
    end(max(standing.status for standing in standings.values()))


async def _standings(kinds: Sequence[Kind]) -> dict[Kind, _Standing]:
    from chatstore.backends import Backends
    from chatstore.cli.flags import read_flag
    from chatstore.settings import load_settings

    settings = load_settings()
    async with Backends(settings) as backends:
        asked = kinds_of(backends, kinds)
        return {kind: await _standing(backends, kind, read_flag(settings, kind)) for kind in asked}


async def _standing(backends: Backends, kind: Kind, flag: StageFlag | None) -> _Standing:
    from chatstore.cli.runs import runs_of
    from chatstore.cli.sides import look

    view = await look(backends, kind)
    if view.sides[Side.OLD].error is not None:
        return _Standing(view, flag, None, None)
    progress = backends.progress(kind)
    return _Standing(view, flag, await progress.count_quarantined(), await runs_of(progress))


def _lines(kind: Kind, standing: _Standing) -> Iterator[str]:
    from chatstore.cli.flags import describe

    state = standing.view.state
    yield str(kind)
    rows = {
        "stage": f"{state.stage or 'none'} (recorded)",
        "flag file": describe(standing.flag),
        "journal": "open" if state.journal_open else "closed",
        "way back": "closed" if state.way_back_closed else "kept",
        "backfilled": _ago(state.backfilled_at),
        "verified": _ago(state.verified_at) if state.verified else _differed(state.differed_at),
        **{f"{side} side": _side_text(sight) for side, sight in standing.view.sides.items()},
        "quarantine": "not known" if standing.quarantined is None else number(standing.quarantined, "record"),
    }
    if standing.runs is not None:
        rows |= standing.runs.rows(kind)
    for label, text in rows.items():
        yield f"  {label:{_LABEL}}{text}"


def _differed(time: datetime | None) -> str:
    return "never" if time is None else f"no: the sides differed {_ago(time)}"


def _ago(time: datetime | None) -> str:
    if time is None:
        return "never"
    return f"{time:%Y-%m-%d %H:%M:%S} UTC ({duration(_age(time))} ago)"


def _age(time: datetime) -> float:
    return max(0.0, (utc_now() - time).total_seconds())


def _side_text(sight: Sight) -> str:
    if sight.error is not None:
        return f"away: {printable(str(sight.error))}"
    oldest = sight.backlog.oldest
    return number(sight.backlog.marks, "mark") + (
        "" if oldest is None else f", the oldest {duration(_age(oldest))} old"
    )


def _document(standing: _Standing) -> dict[str, object]:
    from chatstore.cli.flags import as_document

    flag = standing.flag
    return {
        "state": standing.view.state,
        "flag": None if flag is None else as_document(flag),
        "sides": {side: _side_document(sight) for side, sight in standing.view.sides.items()},
        "quarantined": standing.quarantined,
        **({"checkpoint": None, "runs": None} if standing.runs is None else standing.runs.document()),
    }


def _side_document(sight: Sight) -> Mapping[str, object]:
    if sight.error is not None:
        return {"reachable": False, "error": str(sight.error)}
    oldest = sight.backlog.oldest
    age = None if oldest is None else round(_age(oldest), 3)
    return {"reachable": True, "marks": sight.backlog.marks, "oldest_mark_seconds": age}

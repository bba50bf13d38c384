"""The runs of a migration that are under way in other processes, and those that were stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from chatstore.cli.output import duration, printable
from chatstore.cli.telling import doing, far, found, servers, speed
from chatstore.interfaces import Progress
from chatstore.migration.checkpoint import Checkpoint, reached, run_name
from chatstore.migration.snapshot import RUNS, VERIFY, Snapshot, told
from chatstore.models import Kind, Side, utc_now

_BACK = run_name(Side.NEW)
_LABELS = {run_name(Side.OLD): "migrate", _BACK: "back", VERIFY: "verify"}
_SILENT_FROM = 4.0


@dataclass(frozen=True, slots=True)
class Runs:
    """What is known of the runs of one kind.

    Attributes:
        under_way: Those that tell of themselves.
        holder: Who holds the lease of a migrate; None when nobody does.
        stopped: How far a migrate came that did not come to its end, by its name.
    """

    under_way: tuple[Snapshot, ...]
    holder: str | None
    stopped: Mapping[str, Checkpoint]

    def rows(self, kind: Kind) -> dict[str, str]:
        """Return what there is to say, by its label."""
        rows = {_LABELS[snapshot.run]: _running(snapshot) for snapshot in self.under_way}
        if self.holder is not None:
            if all(snapshot.run == VERIFY for snapshot in self.under_way):
                rows["lease"] = (
                    f"held by {printable(self.holder)}, which tells nothing: it begins or ends just now, or it was "
                    "killed, and the lease runs out within a minute"
                )
            return rows
        for name, checkpoint in self.stopped.items():
            back = " --back" if name == _BACK else ""
            rows[_LABELS[name]] = (
                f"stopped behind {checkpoint.records:,} records: chatstore migrate{back} --{kind} goes on"
            )
        return rows

    def document(self) -> dict[str, object]:
        """Return all of it as what JSON can hold."""
        return {
            "checkpoint": self.stopped.get(run_name(Side.OLD)),
            "checkpoint_back": self.stopped.get(_BACK),
            "lease": self.holder,
            "runs": [_document(snapshot) for snapshot in self.under_way],
        }


async def runs_of(progress: Progress) -> Runs:
    """Return what is known of the runs of one kind."""
    told_of = [await told(progress, name) for name in RUNS]
    ends = {run_name(side): await reached(progress, side) for side in Side}
    return Runs(
        tuple(snapshot for snapshot in told_of if snapshot is not None),
        await progress.holder(),
        {name: checkpoint for name, checkpoint in ends.items() if checkpoint is not None},
    )


def _running(snapshot: Snapshot) -> str:
    event = snapshot.event
    does = doing(event).removeprefix(f"{event.kind}: ")
    process = f"running on {printable(snapshot.host)} (pid {snapshot.pid}) for {duration(event.seconds)}"
    pieces = ", ".join((does, far(event), *speed(event), *found(event), *servers(event), *_silence(snapshot)))
    return f"{process}: {pieces}"


def _silence(snapshot: Snapshot) -> Iterator[str]:
    silent = (utc_now() - snapshot.at).total_seconds()
    if silent >= _SILENT_FROM:
        yield f"last heard of {duration(silent)} ago"


def _document(snapshot: Snapshot) -> dict[str, object]:
    event = {field.name: getattr(snapshot.event, field.name) for field in fields(snapshot.event)}
    return {
        "run": _LABELS[snapshot.run],
        "host": snapshot.host,
        "pid": snapshot.pid,
        "started_at": snapshot.started_at,
        "at": snapshot.at,
        **event,
    }

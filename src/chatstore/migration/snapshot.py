"""What a run tells of itself to who asks from another process."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from chatstore.interfaces import Progress
from chatstore.migration.checkpoint import run_name
from chatstore.migration.events import ProgressEvent, Step
from chatstore.models import Kind, LoadSeen, Side

VERIFY = "verify"
"""The name under which a verify tells of itself."""

RUNS = (run_name(Side.OLD), run_name(Side.NEW), VERIFY)
"""All names under which a run tells of itself."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A run as it was about a second ago.

    Attributes:
        run: Its name, one of `RUNS`.
        host: The machine that it is on.
        pid: Its process there.
        started_at: When it began, by that machine's clock. So is the next one.
        at: When it told this.
        event: How far it had come.
    """

    run: str
    host: str
    pid: int
    started_at: datetime
    at: datetime
    event: ProgressEvent

    def encode(self) -> str:
        """Return it as a text for `Progress`."""
        held = asdict(self)
        return json.dumps({**held, "started_at": self.started_at.isoformat(), "at": self.at.isoformat()})

    @classmethod
    def decode(cls, text: str) -> Snapshot:
        """Return what `encode` was given, by this version or one that tells more.

        Raises:
            ValueError: The text is not one of `encode`'s.
        """
        try:
            held = json.loads(text)
            return cls(
                run=held["run"],
                host=held["host"],
                pid=held["pid"],
                started_at=datetime.fromisoformat(held["started_at"]),
                at=datetime.fromisoformat(held["at"]),
                event=_event(held["event"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not what a run tells of itself: {error}") from error


async def told(progress: Progress, run: str) -> Snapshot | None:
    """Return what the run named `run` tells of itself; None when no such run is under way."""
    text = await progress.report(run)
    if text is None:
        return None
    try:
        return Snapshot.decode(text)
    except ValueError as error:
        _log.warning("the %s that is under way is of another version of chatstore: %s", run, error)
        return None


def _event(held: dict[str, Any]) -> ProgressEvent:
    known: dict[str, Any] = _known(ProgressEvent, held)
    known["kind"], known["step"] = Kind(held["kind"]), Step(held["step"])
    for side in ("source_load", "target_load"):
        if known.get(side) is not None:
            known[side] = LoadSeen(**_known(LoadSeen, known[side]))
    return ProgressEvent(**known)


def _known(model: type[ProgressEvent | LoadSeen], held: dict[str, Any]) -> dict[str, Any]:
    return {field.name: held[field.name] for field in fields(model) if field.name in held}

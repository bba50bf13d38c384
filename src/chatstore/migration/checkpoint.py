"""How far a backfill came, as one text that the next run goes on from."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

from chatstore.interfaces import Progress
from chatstore.migration.reports import Tally
from chatstore.models import Side

_log = logging.getLogger(__name__)


BEGINNING = ""
"""The name of the walk that begins at no cursor; any other is named by the cursor that it begins at."""


@dataclass(frozen=True, slots=True)
class Tallied:
    """What became of some records.

    Attributes:
        copied: What was copied.
        unchanged: What was passed over.
        quarantined: How many could not be taken.
    """

    copied: Tally = field(default_factory=Tally)
    unchanged: Tally = field(default_factory=Tally)
    quarantined: int = 0

    @property
    def records(self) -> int:
        """How many records there were, but for those in quarantine."""
        return self.copied.records + self.unchanged.records

    def __add__(self, other: Tallied) -> Tallied:
        return Tallied(
            self.copied + other.copied, self.unchanged + other.unchanged, self.quarantined + other.quarantined
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Everything before some places lies on the target, or in quarantine.

    Attributes:
        places: How far each walk over the source came, by its name: a cursor, or None where it ended. A walk that is
            not here is at its beginning.
        space: Of which data of the source (`ChatSide.space`).
        started_at: When the first of the runs began that this checkpoint is the sum of.
        copied: What they copied.
        unchanged: What they passed over, because it was there as it is.
        quarantined: How many records they could not take.
    """

    places: Mapping[str, str | None] = field(default_factory=dict)
    space: str = ""
    started_at: datetime
    copied: Tally = field(default_factory=Tally)
    unchanged: Tally = field(default_factory=Tally)
    quarantined: int = 0

    def moved(self, walk: str, place: str | None, did: Tallied) -> Checkpoint:
        """Return it with a walk at another place (None: at its end), and with what was done on the way there."""
        places, now = {**self.places, walk: place}, self.tallied + did
        return replace(self, places=places, copied=now.copied, unchanged=now.unchanged, quarantined=now.quarantined)

    def fits(self, starts: Sequence[str | None]) -> bool:
        """Return whether its walks are some of those that begin at these cursors."""
        return {start or BEGINNING for start in starts} >= set(self.places)

    def left(self, starts: Sequence[str | None]) -> dict[str, str | None]:
        """Return where the walks from these cursors go on that have not ended, by name."""
        places = {start or BEGINNING: self.places.get(start or BEGINNING, start) for start in starts}
        return {name: place for name, place in places.items() if place is not None or name not in self.places}

    @property
    def tallied(self) -> Tallied:
        """What became of all that lies behind it."""
        return Tallied(self.copied, self.unchanged, self.quarantined)

    @property
    def records(self) -> int:
        """How many records lie behind it, but for those in quarantine."""
        return self.tallied.records

    def encode(self) -> str:
        """Return it as a text for `Progress`."""
        return json.dumps({**asdict(self), "started_at": self.started_at.isoformat()})

    @classmethod
    def decode(cls, text: str) -> Checkpoint:
        """Return what `encode` was given.

        Raises:
            ValueError: The text is not one of `encode`'s.
        """
        try:
            held = json.loads(text)
            return cls(
                places=_places(held["places"]),
                space=held["space"],
                started_at=datetime.fromisoformat(held["started_at"]),
                copied=Tally(**held["copied"]),
                unchanged=Tally(**held.get("unchanged", {})),
                quarantined=held["quarantined"],
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a checkpoint: {error}") from error


def _places(held: object) -> Mapping[str, str | None]:
    if not isinstance(held, dict):
        raise TypeError(f"{held!r} are no places")
    return held


def run_name(source: Side) -> str:
    """Return the name under which a backfill from `source` keeps its checkpoint."""
    return f"backfill {source} to {source.other}"


async def reached(progress: Progress, source: Side) -> Checkpoint | None:
    """Return how far the last backfill from `source` came; None when it came to its end, or there was none."""
    text = await progress.checkpoint(run_name(source))
    if text is None:
        return None
    try:
        return Checkpoint.decode(text)
    except ValueError as error:
        _log.warning("the %s starts over: %s", run_name(source), error)
        return None

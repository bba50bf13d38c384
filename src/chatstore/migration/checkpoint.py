"""How far a backfill came, as one text that the next run goes on from."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field
from datetime import datetime

from chatstore.interfaces import Progress
from chatstore.migration.reports import Tally
from chatstore.models import Side

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Everything before `cursor` lies on the target, or in quarantine.

    Attributes:
        cursor: Where the source's scan goes on; None at its beginning.
        started_at: When the first of the runs began that this checkpoint is the sum of.
        copied: What they copied.
        unchanged: What they passed over, because it was there as it is.
        quarantined: How many records they could not take.
    """

    cursor: str | None = None
    started_at: datetime
    copied: Tally = field(default_factory=Tally)
    unchanged: Tally = field(default_factory=Tally)
    quarantined: int = 0

    @property
    def records(self) -> int:
        """How many records lie behind it, but for those in quarantine."""
        return self.copied.records + self.unchanged.records

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
                cursor=held["cursor"],
                started_at=datetime.fromisoformat(held["started_at"]),
                copied=Tally(**held["copied"]),
                unchanged=Tally(**held.get("unchanged", {})),
                quarantined=held["quarantined"],
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a checkpoint: {error}") from error


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

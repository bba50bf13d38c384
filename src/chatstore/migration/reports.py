"""What a run did, in plain values that JSON can hold (`dataclasses.asdict`)."""

from __future__ import annotations

from dataclasses import dataclass, field

from chatstore.migration.compare import Difference
from chatstore.migration.history import Sample, StepTime
from chatstore.models import Kind, LoadSeen, Side


@dataclass(frozen=True, slots=True)
class Tally:
    """Numbers of records."""

    sessions: int = 0
    messages: int = 0
    documents: int = 0

    @property
    def records(self) -> int:
        """How many records of any type."""
        return self.sessions + self.messages + self.documents

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.sessions + other.sessions, self.messages + other.messages, self.documents + other.documents)

    def __sub__(self, other: Tally) -> Tally:
        return Tally(self.sessions - other.sessions, self.messages - other.messages, self.documents - other.documents)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillReport:
    """What a backfill did.

    Attributes:
        kind: What was copied.
        source: The side that was read.
        target: The side that was written.
        copied: What was put into the target, whether it was there already or not, by this run and those that it was
            resumed from. A record that a scan yielded twice, or that was read again after a kill, counts twice.
        unchanged: What a run before this one had put there, and was the same still; it was not put again.
        quarantined: How many records could not be taken.
        resumed: Whether it went on where an earlier run was ended.
        seconds: How long this run took.
        notes: What a layout never stored or does not hold exactly, a sentence each.
        source_load: How busy the source's server was meanwhile, on average; None where that is not told.
        target_load: The same of the target's.
        retries: How often something was tried again, because a server was away.
        steps: How long each step took.
        samples: What it did over time, in a few hundred parts at most.
    """

    kind: Kind
    source: Side
    target: Side
    copied: Tally
    unchanged: Tally = field(default_factory=Tally)
    quarantined: int
    resumed: bool
    seconds: float
    notes: tuple[str, ...] = ()
    source_load: LoadSeen | None = None
    target_load: LoadSeen | None = None
    retries: int = 0
    steps: tuple[StepTime, ...] = ()
    samples: tuple[Sample, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every record was taken."""
        return self.quarantined == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What a verify found.

    Attributes:
        kind: What was compared.
        old: How many records of the old side were compared with the new one.
        new: How many records of the new side were compared with the old one.
        by_digest: How many of the old ones were not read, because a fingerprint proves that the old side holds what was
            copied, and a digest that the new side does.
        proved: How many documents were found again by a search with their own embedding.
        difference_count: How many differences there are.
        differences: The first of them.
        quarantined: How many records no side could compare: one cannot be read, or the other cannot hold it.
        backfilled: Whether a backfill had come to its end before.
        way_back_closed: Whether the way back is closed, so that the old side need not be equal.
        reopened: Whether this run opened the way back, which had been closed.
        seconds: How long it took.
        retries: How often something was tried again, because a server was away.
        steps: How long each step took.
        samples: What it did over time, in a few hundred parts at most.
    """

    kind: Kind
    old: Tally
    new: Tally
    proved: int
    difference_count: int
    differences: tuple[Difference, ...]
    quarantined: int
    backfilled: bool
    way_back_closed: bool
    reopened: bool
    seconds: float
    by_digest: Tally = field(default_factory=Tally)
    retries: int = 0
    steps: tuple[StepTime, ...] = ()
    samples: tuple[Sample, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether all that could be compared is equal."""
        return self.difference_count == 0

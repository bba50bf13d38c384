"""What is remembered of a migration: its state, a record that it could not take, a page of a list."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from chatstore.models.sides import Stage
from chatstore.models.values import utc_now

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationState:
    """What both sides' journals remember of one kind's migration.

    Attributes:
        journal_open: Writes that reach one side only leave a mark. Set by `migrate`, ended by closing the way back.
        backfilled_at: When a backfill last came to its end.
        verified_at: When a verify last found both sides equal after a backfill.
        differed_at: When a verify last found a difference.
        stage: The furthest stage that was served or set; the floor when the flag provider fails.
        way_back_closed: The old side is no longer kept whole, so no stage may read from it until a backfill from the
            new side and a verify have opened the way back again.
    """

    journal_open: bool = False
    backfilled_at: datetime | None = None
    verified_at: datetime | None = None
    differed_at: datetime | None = None
    stage: Stage | None = None
    way_back_closed: bool = False

    @property
    def verified(self) -> bool:
        """Whether the last verify found both sides equal."""
        return self.verified_at is not None and (self.differed_at is None or self.differed_at < self.verified_at)


class RawKept(StrEnum):
    """How the raw data of a record in quarantine is kept."""

    PLAIN = "plain"
    ENCRYPTED = "encrypted"
    HASH = "hash"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A record that could not be taken, kept so that nothing vanishes.

    Attributes:
        key: Where it lies: the Redis key, or the id of the session, message or document.
        reason: What is wrong with it.
        raw: What was found there, cut at 64 KiB; the record itself is left as it is. Empty where only a hash of it is
            kept, or where it is encrypted and the key is not at hand. Its `repr` does not show it.
        size: How many bytes it has in full.
        at: When it was found.
        kept: How `raw` is kept.
        sha256: The SHA-256 of `raw`, in hexadecimal, where only that is kept.
    """

    key: str
    reason: str
    raw: bytes = field(repr=False)
    size: int
    at: datetime = field(default_factory=utc_now)
    kept: RawKept = RawKept.PLAIN
    sha256: str | None = None

    @property
    def is_sealed(self) -> bool:
        """Whether its raw data cannot be read here."""
        return self.kept is not RawKept.PLAIN and not self.raw and self.size > 0


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list.

    Attributes:
        items: The records, in the list's order.
        next: Give it as `after` to get the next part; None when this is the last.
    """

    items: tuple[T, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class ScanPage(Generic[T]):
    """A part of a side, read for the other.

    Attributes:
        changes: What was read. A session with many messages comes in several changes.
        quarantined: What was found and could not be read.
        cursor: Give it to `scan` to go on behind this part; None when it is the last.
    """

    changes: tuple[T, ...]
    quarantined: tuple[Quarantined, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class KeyPage(Generic[T]):
    """The keys of a part of a side: what a planner cuts into batches, without reading the records.

    Attributes:
        keys: Which records; each once in this part.
        quarantined: What was found and can have no key.
        cursor: Give it to `keys` to go on behind this part; None when it is the last.
    """

    keys: tuple[T, ...]
    quarantined: tuple[Quarantined, ...]
    cursor: str | None

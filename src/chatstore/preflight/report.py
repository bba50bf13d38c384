"""What a look ahead says: what is there, where it would go, how long that takes, and which settings it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chatstore.models import Kind
from chatstore.redis.inspection import Count, Group, Inspection


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How fast a migration goes, in records a second: from a slow target to a fast one.

    Attributes:
        least: Where the target is far away, or small.
        most: Where it is near.
        said: Whether somebody said so; else it is what is usual.
    """

    least: float
    most: float
    said: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """How long a migration of one kind will take.

    Attributes:
        records: How many records it copies: messages, or documents.
        least: Seconds, at best.
        most: Seconds, at worst.
        rates: The rates that this assumes.
        read_rate: How many records a second were read here; None where none was read.
        memory: How many bytes Redis needs besides, for what is written down of records that have no ids, times or
            owners of their own.
    """

    records: Count
    least: float
    most: float
    rates: Rates
    read_rate: float | None
    memory: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a migration from a Redis would meet.

    Attributes:
        inspection: What lies there.
        targets: Where each kind would go, in words.
        chosen: The group of each kind that the settings name, or else the largest: what a migration copies.
        durations: How long that takes, by kind.
        settings: The lines of `.env.local` that a migration of what was chosen needs.
        advice: What somebody should know or do before, as sentences.
    """

    inspection: Inspection
    targets: Mapping[Kind, str]
    chosen: Mapping[Kind, Group] = field(default_factory=dict)
    durations: Mapping[Kind, Duration] = field(default_factory=dict)
    settings: Sequence[str] = ()
    advice: Sequence[str] = ()

    @property
    def is_fine(self) -> bool:
        """Whether nothing that was read would be quarantined, or is more than its target holds."""
        return not any(group.records.quarantined or group.records.refused for group in self.inspection.groups)

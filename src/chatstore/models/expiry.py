"""Expiry: when a record has ceased to exist, and what a sweep of such records came to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

_PRECISION = timedelta(milliseconds=1)


def has_expired(expires_at: datetime | None, now: datetime) -> bool:
    """Return whether a record that ceases to exist at `expires_at` (None: never) has done so by `now`."""
    return expires_at is not None and expires_at <= now


def same_expiry(one: datetime | None, other: datetime | None) -> bool:
    """Return whether one expiry is the same as the other to the millisecond, which is all that Redis keeps."""
    return one == other if one is None or other is None else abs(one - other) < _PRECISION


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep removed of what had expired.

    Attributes:
        sessions: Sessions.
        messages: Messages: those of the sessions, and those that expired in sessions that live.
        tombstones: Deletions of messages, noted in the sessions.
        more: Whether the sweep ended because it had removed as much as it might: go on with another.
    """

    sessions: int = 0
    messages: int = 0
    tombstones: int = 0
    more: bool = False

    def __add__(self, other: Swept) -> Swept:
        """Return what this sweep and a later one removed together."""
        return Swept(
            sessions=self.sessions + other.sessions,
            messages=self.messages + other.messages,
            tombstones=self.tombstones + other.tombstones,
            more=other.more,
        )

"""Marks: the durable notes that say on which keys the two sides may differ."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime

from chatstore.models.sides import Side
from chatstore.models.values import utc_now


def new_token() -> str:
    """Return a token that no other mark has: 24 hexadecimal digits."""
    return os.urandom(12).hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One entry of a journal: until it is cleared, the sides may differ on its key.

    Attributes:
        token: Names this mark among all.
        key: The session's or the document's id.
        user_id: Whose it is.
        side: The side that was written first; its journal holds the mark.
        op: What was done: a command's `op`, `"backfill"`, `"repair"`, or `"foreign"` for another program's write.
        message_ids: In chat: which messages the write concerns. None when it may concern any of the session's.
        at: When the mark was made.
        lease_until: Until then its writer may still be at work, so only the writer itself may clear it. None where
            a late write can do no harm, because the other side takes newer states only, in one atomic step.
        while_open: Of a write that goes to one side only: keep the mark only if the journal is open, that is, while
            a migration is under way or the way back is kept. The side decides, in the step that writes.
    """

    token: str = field(default_factory=new_token)
    key: str
    user_id: str
    side: Side
    op: str
    message_ids: tuple[str, ...] | None = None
    at: datetime = field(default_factory=utc_now)
    lease_until: datetime | None = None
    while_open: bool = False

    def is_leased(self, now: datetime) -> bool:
        """Return whether its writer may still be at work at a time: `now`, in UTC."""
        return self.lease_until is not None and self.lease_until > now


@dataclass(frozen=True, slots=True)
class Backlog:
    """How far the two sides are apart.

    Attributes:
        marks: How many marks a journal holds.
        oldest: When the oldest of them was made; None when there are none.
    """

    marks: int
    oldest: datetime | None

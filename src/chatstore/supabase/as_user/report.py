"""What reading as the end users found, in plain values that JSON can hold (`dataclasses.asdict`); never a content."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

LISTED = 20
"""Of how many sessions a finding names the ids."""

ANYBODY = "(anybody, not logged in)"
"""Who comes with the publishable key alone."""

STRANGER = "(a user who has no records)"
"""Who comes with a good token, and owns nothing."""

NAMELESS = "(a token that names no user)"
"""Who comes with a token that has no `sub`."""

OUTSIDERS = (ANYBODY, STRANGER, NAMELESS)
"""Visitors who own nothing, and so must see nothing, as a report names them."""


class Wrong(StrEnum):
    """What can be wrong with what somebody sees.

    Attributes:
        HIDDEN: Own records cannot be read.
        FOREIGN: Records of others can be read; by somebody who is not logged in, any record.
        REFUSED: Reading own records, or writing them, ends in an error of Postgres.
        MISOWNED: Own sessions hold messages that say another user's id, so that they are hidden.
        MISSING: The old side has sessions of this user that are not there on the new one.
        WRITABLE: Records of others can be written, or records given to others.
    """

    HIDDEN = "hidden"
    FOREIGN = "foreign"
    REFUSED = "refused"
    MISOWNED = "misowned"
    MISSING = "missing"
    WRITABLE = "writable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong for one visitor at one place.

    Attributes:
        visitor: A user's id, or one of `ANYBODY`, `STRANGER` and `NAMELESS`.
        wrong: What is wrong.
        place: The table, view or function that was asked: `public.messages`, `public.chatstore_session()`.
        rows: How many sessions or messages are concerned; 0 where that cannot be told.
        at_least: Whether there may be more, because it was not looked on.
        sessions: The ids of the first sessions that are concerned.
        attempt: What was tried to write; empty where it was reading.
        error: What Postgres answered, without its text: a name and a SQLSTATE; empty where it answered.
    """

    visitor: str
    wrong: Wrong
    place: str
    rows: int = 0
    at_least: bool = False
    sessions: tuple[str, ...] = ()
    attempt: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What one visitor saw.

    Attributes:
        visitor: As of `Finding`.
        sessions: How many sessions are this user's, and were looked for.
        messages: How many messages are in them, and were looked for.
        old_sessions: How many sessions of this user the old side told, and were looked for; None where it was not
            asked.
        findings: What is wrong.
    """

    visitor: str
    sessions: int = 0
    messages: int = 0
    old_sessions: int | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """What decides who sees what at a place where something is wrong: where to look.

    Attributes:
        place: The table, view or function.
        reasons: A sentence each.
    """

    place: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AsUserReport:
    """What reading as the end users found.

    Attributes:
        users: How many users have sessions on the new side.
        visits: What each visitor saw: users first, then those who own nothing.
        seed: What the users were drawn by; with it, the same users are drawn again.
        sessions: How many sessions there are, of all users.
        sessions_searched: In how many of them records of others were looked for, by each visitor.
        places: The tables, views and functions that were asked.
        unsearched: What could not be looked through, a sentence each.
        suspects: Where to look for the cause of each finding.
        seconds: How long it took.
    """

    users: int
    visits: tuple[Visit, ...]
    seed: int
    sessions: int
    sessions_searched: int
    places: tuple[str, ...]
    unsearched: tuple[str, ...]
    suspects: tuple[Suspect, ...]
    seconds: float

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that is wrong."""
        return tuple(finding for visit in self.visits for finding in visit.findings)

    @property
    def users_checked(self) -> int:
        """As how many users it was read."""
        return sum(visit.visitor not in OUTSIDERS for visit in self.visits)

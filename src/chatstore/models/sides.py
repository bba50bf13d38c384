"""The two sides of a migration, its stages, and the two kinds of records that move."""

from __future__ import annotations

from enum import StrEnum


class Side(StrEnum):
    """Where a record lies: the old side is Redis, the new one Supabase or Chroma."""

    OLD = "old"
    NEW = "new"

    @property
    def other(self) -> Side:
        """The side across."""
        return Side.NEW if self is Side.OLD else Side.OLD


class Kind(StrEnum):
    """What moves: sessions with their messages, or documents. Each has a stage and a journal of its own."""

    CHAT = "chat"
    DOCUMENTS = "documents"


class Stage(StrEnum):
    """How far a migration is; the order of the members is the order of the way."""

    OFF = "off"
    DUALWRITE = "dualwrite"
    SHADOW = "shadow"
    LIVE = "live"
    RAMPDOWN = "rampdown"
    COMPLETE = "complete"

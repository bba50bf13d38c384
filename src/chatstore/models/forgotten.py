"""What came of forgetting a user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chatstore.models.sides import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What became of a user's records of one kind: of the sessions with their messages, or of the documents.

    Attributes:
        records: How many each side held, of the sides that there are. All of them are deleted, but for `unreadable`.
        quarantined: How many entries about them were taken out of the quarantine.
        unreadable: How many records in Redis are the user's and cannot be read, and so not be deleted by the layout.
        refused: How many deletions one side could not take over from the other: their marks stay.
    """

    records: Mapping[Side, int]
    quarantined: int = 0
    unreadable: int = 0
    refused: int = 0

    @property
    def complete(self) -> bool:
        """Whether nothing is left of them on any side."""
        return not self.unreadable and not self.refused

"""What a target says of a record that it would get: that it cannot hold it, or holds it in another form."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limited:
    """A limit that a record meets.

    Attributes:
        reason: What, as a clause about the record, without figures of this one: many records may have the same.
        refused: Whether the target cannot take the record; else it is held, and nothing of it is lost.
    """

    reason: str
    refused: bool = True

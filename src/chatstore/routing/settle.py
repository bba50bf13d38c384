"""Clearing marks when both sides are known to agree on their keys."""

from __future__ import annotations

from collections.abc import Sequence

from chatstore.interfaces import ChatSide, DocumentSide
from chatstore.models import Mark
from chatstore.routing.sides import Sides


async def settle(
    sides: Sides[ChatSide] | Sides[DocumentSide], marks: Sequence[Mark], *, exclusive: bool
) -> Sequence[Mark]:
    """Clear marks of one journal after both sides were written; return those that had to be left.

    With `exclusive`, for a side that compares and writes in two steps, only the marks of keys on which no foreign mark
    stands, in either journal, are cleared. Why that is enough: everyone who writes to such a key sets a mark before and
    looks for foreign ones after. If two were at work at once, each one's mark was there before the other had ended; so
    the first of them to look finds the other's mark and leaves its own, and the key is merged again. The two steps of
    looking and clearing need not be one: whoever sets a mark after the look finds the finished write.

    Raises:
        UnavailableError: A journal did not answer; any number of the marks were cleared.
    """
    if not marks:
        return ()
    side = marks[0].side
    journal = sides[side].journal
    if not exclusive:
        await journal.clear(marks)
        return ()
    contested = list(await sides[side.other].journal.clear_alone(marks))
    tokens = {mark.token for mark in contested}
    return [*contested, *await journal.clear_alone([mark for mark in marks if mark.token not in tokens])]

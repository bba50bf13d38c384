"""Clearing marks when both sides are known to agree on their keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chatstore.interfaces import ChatSide, DocumentSide, Journal
from chatstore.models import Mark, Side, new_token
from chatstore.routing.sides import Sides
from chatstore.routing.standing import key_of


async def settle(
    sides: Sides[ChatSide] | Sides[DocumentSide], marks: Sequence[Mark], *, exclusive: bool
) -> Sequence[Mark]:
    """Clear marks, of either journal, after both sides were written; return those that had to be left.

    With `exclusive`, for a side that compares and writes in two steps, only the marks of keys on which no foreign mark
    stands, in either journal, are cleared. Why that is enough: everyone who writes to such a key sets a mark before and
    looks for foreign ones after. If two were at work at once, each one's mark was there before the other had ended; so
    the first of them to look finds the other's mark and leaves its own, and the key is merged again. The two steps of
    looking and clearing need not be one: whoever sets a mark after the look finds the finished write.

    Raises:
        UnavailableError: A journal did not answer; any number of the marks were cleared.
    """
    if not exclusive:
        for side in Side:
            if mine := [mark for mark in marks if mark.side is side]:
                await sides[side].journal.clear(mine)
        return ()
    contested: set[tuple[str, str]] = set()
    for side in Side:
        # None of these marks is in this journal: asked to clear them, it only says where foreign ones stand.
        if others := [mark for mark in marks if mark.side is not side]:
            contested |= {key_of(mark) for mark in await sides[side].journal.clear_alone(others, marks)}
    left = [mark for mark in marks if key_of(mark) in contested]
    for side in Side:
        if mine := [mark for mark in marks if mark.side is side and key_of(mark) not in contested]:
            left += await sides[side].journal.clear_alone(mine, marks)
    return left


async def withdraw(sides: Sides[DocumentSide], announced: Sequence[Mark]) -> None:
    """End what was announced on the sides by work that has ended, though its keys are still to be merged.

    They are the repairer's now. Each is replaced by a mark without a lease: nothing of its work can come late any
    more, so nobody need wait for it.
    """
    for side in Side:
        if mine := [mark for mark in announced if mark.side is side]:
            await end_leases(sides[side].journal, mine)


async def end_leases(journal: Journal, marks: Sequence[Mark]) -> None:
    """Replace marks of one journal by marks without a lease: what they were made for has ended, and is to be merged."""
    await journal.add([replace(mark, token=new_token(), lease_until=None) for mark in marks])
    await journal.clear(marks)

"""Which marks stand on some keys."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from chatstore.interfaces import Journal
from chatstore.models import Mark, Side
from chatstore.routing.sides import S, Sides


def key_of(mark: Mark) -> tuple[str, str]:
    """Return what a mark marks: the user and the key."""
    return (mark.user_id, mark.key)


async def standing_on(journal: Journal, keys: Iterable[tuple[str, str]]) -> list[Mark]:
    """Return all marks of a journal on some keys; the users are asked for at once.

    Raises:
        UnavailableError: The journal did not answer.
    """
    by_user: dict[str, list[str]] = {}
    for user_id, key in dict.fromkeys(keys):
        by_user.setdefault(user_id, []).append(key)
    found = await asyncio.gather(*(journal.marks_of(user_id, names) for user_id, names in by_user.items()))
    return [mark for marks in found for mark in marks]


async def still_standing(sides: Sides[S], marks: Sequence[Mark]) -> list[Mark]:
    """Return those of some marks that are still in their journal.

    Raises:
        UnavailableError: A journal did not answer.
    """
    found: set[str] = set()
    for side in Side:
        if mine := [mark for mark in marks if mark.side is side]:
            found |= {mark.token for mark in await standing_on(sides[side].journal, map(key_of, mine))}
    return [mark for mark in marks if mark.token in found]

"""Reading one's own writes across a flip: what is still marked on the other side is merged before a call is served."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from chatstore.errors import ChatStoreError
from chatstore.models import Mark, Side
from chatstore.routing.merge import Merged
from chatstore.routing.sides import S, Sides

logger = logging.getLogger("chatstore.routing")


async def merge_marked(
    sides: Sides[S],
    merge: Callable[[Sides[S], Sequence[Mark]], Awaitable[Merged]],
    side: Side,
    user_id: str,
    keys: Sequence[str] | None,
) -> None:
    """Merge those of a user's keys (all when None) that `side`'s journal marks.

    When that side is down, the call must not fail for it: the other one is authoritative and serves what it has, and
    the log says so.
    """
    try:
        by_key: dict[str, list[Mark]] = {}
        for mark in await sides[side].journal.marks_of(user_id, keys):
            by_key.setdefault(mark.key, []).append(mark)
        for marks in by_key.values():
            await merge(sides, marks)
    except ChatStoreError as error:
        logger.warning("could not merge what the %s side has marked before a call: %s", side, error)

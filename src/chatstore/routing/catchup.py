"""Reading one's own writes across a flip: what is still marked on the other side is merged before a call is served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic

from chatstore.errors import ChatStoreError
from chatstore.models import Mark, Side
from chatstore.routing.complaints import Complaints
from chatstore.routing.merge import Merged
from chatstore.routing.sides import S, Sides


class CatchUp(Generic[S]):
    """Merges before a call what the side that is not authoritative has marked, in bounded time.

    When that side is down, the call must neither fail nor wait for it: the other one is authoritative and serves what
    it has. So after a failure that side is not asked for a while.

    Args:
        sides: The old and the new store.
        merge: Merges marks of one kind (`merge_chat` or `merge_documents`).
        deadline: The most seconds that a call may be held up.
        rest: For how many seconds a side is not asked after it failed.
    """

    def __init__(
        self,
        sides: Sides[S],
        merge: Callable[[Sides[S], Sequence[Mark]], Awaitable[Merged]],
        *,
        deadline: float = 2.0,
        rest: float = 10.0,
    ) -> None:
        self._sides = sides
        self._merge = merge
        self._deadline = deadline
        self._rest = rest
        self._down_until = dict.fromkeys(Side, 0.0)
        self._complaints = Complaints()

    async def with_side(self, side: Side, user_id: str, keys: Sequence[str] | None) -> None:
        """Merge those of a user's keys (all when None) that `side`'s journal marks."""
        if time.monotonic() < self._down_until[side]:
            return
        try:
            async with asyncio.timeout(self._deadline):
                await self._merge_marked(side, user_id, keys)
        except (ChatStoreError, TimeoutError) as error:
            self._down_until[side] = time.monotonic() + self._rest
            reason = str(error) or f"no answer in {self._deadline:g} s"
            self._complaints.say(f"could not merge what the {side} side has marked before a call: {reason}", kind=side)

    async def _merge_marked(self, side: Side, user_id: str, keys: Sequence[str] | None) -> None:
        by_key: dict[str, list[Mark]] = {}
        for mark in await self._sides[side].journal.marks_of(user_id, keys):
            by_key.setdefault(mark.key, []).append(mark)
        for marks in by_key.values():
            await self._merge(self._sides, marks)

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

_AT_ONCE = 8


class CatchUp(Generic[S]):
    """Merges before a call what the side that is not authoritative has marked, in bounded time.

    When that side is down, the call must neither fail nor wait for it: the other one is authoritative and serves what
    it has. So after a failure that side is not asked for a while. Nor must the call fail by a defect in what that side
    holds, of which the log has the traceback; that is one user's, so for the others the side is asked all the same.

    Args:
        sides: The old and the new store.
        merge: Merges marks of one kind (`merge_chat` or `merge_documents`).
        keys: How many keys one merge may take.
        deadline: The most seconds that a call may be held up.
        rest: For how many seconds a side is not asked after it failed.
    """

    def __init__(
        self,
        sides: Sides[S],
        merge: Callable[[Sides[S], Sequence[Mark]], Awaitable[Merged]],
        *,
        keys: int,
        deadline: float = 2.0,
        rest: float = 10.0,
    ) -> None:
        self._sides = sides
        self._merge = merge
        self._keys = keys
        self._deadline = deadline
        self._rest = rest
        self._down_until = dict.fromkeys(Side, 0.0)
        self._complaints = Complaints()

    async def with_side(self, side: Side, user_id: str, keys: Sequence[str] | None) -> None:
        """Merge those of a user's keys (all when None) that `side`'s journal marks."""
        if time.monotonic() < self._down_until[side]:
            return
        try:
            async with asyncio.timeout(self._deadline / 2):
                marks = await self._sides[side].journal.marks_of(user_id, keys)
        except Exception as error:  # noqa: BLE001 - whatever that side does, the other one serves the call
            self._failed(side, error)
            return
        if not marks:
            return
        try:
            async with asyncio.timeout(self._deadline):
                await self._merge_each(marks)
        except TimeoutError:
            # So much to merge is no sign that the side is down: the user's next call goes on with it.
            self._complaints.say(f"more is marked on the {side} side than one call may wait for", kind=f"much {side}")
        except Exception as error:  # noqa: BLE001 - see above
            self._failed(side, error)

    async def _merge_each(self, marks: Sequence[Mark]) -> None:
        by_key: dict[str, list[Mark]] = {}
        for mark in marks:
            by_key.setdefault(mark.key, []).append(mark)
        groups = list(by_key.values())
        parts = [
            [mark for group in groups[start : start + self._keys] for mark in group]
            for start in range(0, len(groups), self._keys)
        ]
        gate = asyncio.Semaphore(_AT_ONCE)

        async def merge(part: Sequence[Mark]) -> None:
            async with gate:
                await self._merge(self._sides, part)

        merges = await asyncio.gather(*map(merge, parts), return_exceptions=True)
        for outcome in merges:
            if isinstance(outcome, BaseException):
                raise outcome

    def _failed(self, side: Side, error: Exception) -> None:
        if isinstance(error, ChatStoreError | TimeoutError):
            self._down_until[side] = time.monotonic() + self._rest
        what = f"could not merge what the {side} side has marked before a call"
        self._complaints.failed(what, error, kind=side)

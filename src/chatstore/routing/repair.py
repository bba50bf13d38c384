"""The repairer: merges every marked key, so that the two sides become equal again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic

from chatstore.errors import ChatStoreError
from chatstore.interfaces import ChatSide, DocumentSide, Progress
from chatstore.models import Mark, Side, utc_now
from chatstore.routing.complaints import Complaints
from chatstore.routing.merge import Merged, merge_chat, merge_documents
from chatstore.routing.sides import S, Sides

logger = logging.getLogger("chatstore.routing")

_PAGE = 500
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair came to.

    Attributes:
        merged: How many marks were cleared.
        left: How many were left, because their writers may still be at work.
        quarantined: How many keys one of the sides could not take or give.
    """

    merged: int = 0
    left: int = 0
    quarantined: int = 0

    def __add__(self, other: RepairReport) -> RepairReport:
        return RepairReport(self.merged + other.merged, self.left + other.left, self.quarantined + other.quarantined)


class Repairer(Generic[S]):
    """Merges what both journals of one kind mark. Several at once, in any processes, do no harm to each other.

    Args:
        sides: The two stores.
        merge: Merges marks of one journal (`merge_chat` or `merge_documents`).
        keys: How many keys one merge may take.
        progress: Where it is noted what one side can't take or give. Its marks stay, so that a repair merges it once it
            was put right.
        grace: Marks younger than this are left to their writers.
        one_sided: Also merge what was written to one side on purpose, at `off` or `complete`.
    """

    def __init__(
        self,
        sides: Sides[S],
        merge: Callable[[Sides[S], Sequence[Mark]], Awaitable[Merged]],
        *,
        keys: int,
        progress: Progress | None = None,
        grace: timedelta = timedelta(0),
        one_sided: bool = True,
    ) -> None:
        self._sides = sides
        self._merge = merge
        self._keys = keys
        self._progress = progress
        self._grace = grace
        self._one_sided = one_sided
        self._complaints = Complaints()

    async def run(self) -> RepairReport:
        """Merge every key that is marked now, oldest first; it comes to an end, however much is written meanwhile.

        Raises:
            UnavailableError: A side did not answer; what was merged until then is merged, the rest stays marked.
        """
        report = RepairReport()
        for side in Side:
            async for groups in self._groups(side):
                gate = asyncio.Semaphore(_AT_ONCE)
                outcomes = await asyncio.gather(
                    *(self._guarded(gate, group) for group in groups), return_exceptions=True
                )
                for outcome in outcomes:
                    if isinstance(outcome, BaseException):
                        raise outcome
                    report += outcome
        return report

    async def watch(self, pause: float = 1.0) -> None:
        """Repair again and again, `pause` seconds apart, until cancelled; a server that is away is waited for."""
        while True:
            try:
                report = await self.run()
                if report.merged:
                    logger.info("repaired %d marks", report.merged)
                if report.quarantined:
                    self._complaints.say(f"{report.quarantined} marked keys cannot be merged", kind="stuck")
            except ChatStoreError as error:
                self._complaints.say(f"repair waits: {error}", kind="waits")
            await asyncio.sleep(pause)

    async def _groups(self, side: Side) -> AsyncIterator[list[list[Mark]]]:
        """Yield a journal's marks, page by page, grouped into what one merge takes: all marks of some keys."""
        after: Mark | None = None
        begun = utc_now()
        # Behind a mark that was made since, only younger ones are left: an app that writes makes them without end.
        while (after is None or after.at <= begun) and (
            page := await self._sides[side].journal.marks(limit=_PAGE, after=after)
        ):
            after = page[-1]
            now = utc_now()
            by_key: dict[tuple[str, str], list[Mark]] = {}
            for mark in page:
                if now - mark.at >= self._grace and (self._one_sided or not mark.while_open):
                    by_key.setdefault((mark.user_id, mark.key), []).append(mark)
            # A lease that runs says that a writer is still at work: merging now would only have to be done again.
            ripe = [g for g in by_key.values() if not any(mark.is_leased(now) for mark in g)]
            yield [
                [mark for group in ripe[start : start + self._keys] for mark in group]
                for start in range(0, len(ripe), self._keys)
            ]

    async def _guarded(self, gate: asyncio.Semaphore, marks: Sequence[Mark]) -> RepairReport:
        async with gate:
            return await self._repair(marks)

    async def _repair(self, marks: Sequence[Mark]) -> RepairReport:
        merged = await self._merge(self._sides, marks)
        stuck = {mark.key for mark in merged.stuck}
        if merged.stuck and self._progress is not None:
            await self._progress.quarantine(merged.quarantined)
        return RepairReport(len(merged.cleared), len(merged.left), len(stuck))


def chat_repairer(
    sides: Sides[ChatSide], *, progress: Progress | None = None, grace: timedelta = timedelta(0), one_sided: bool = True
) -> Repairer[ChatSide]:
    """Return a repairer of sessions and messages."""
    return Repairer(sides, merge_chat, keys=1, progress=progress, grace=grace, one_sided=one_sided)


def document_repairer(
    sides: Sides[DocumentSide],
    *,
    progress: Progress | None = None,
    grace: timedelta = timedelta(0),
    one_sided: bool = True,
) -> Repairer[DocumentSide]:
    """Return a repairer of documents."""
    return Repairer(sides, merge_documents, keys=100, progress=progress, grace=grace, one_sided=one_sided)

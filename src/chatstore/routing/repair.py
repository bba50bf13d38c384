"""The repairer: merges every marked key, so that the two sides become equal again."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Generic

from chatstore.errors import ChatStoreError
from chatstore.interfaces import ChatSide, DocumentSide, Progress
from chatstore.models import Backlog, DocumentKey, Kind, Mark, Side, utc_now
from chatstore.models.names import ChatKey, document_name
from chatstore.routing.complaints import Complaints
from chatstore.routing.groups import AWAY, GroupMerger
from chatstore.routing.merge import merge_chat, merge_documents
from chatstore.routing.reports import RepairReport, Round
from chatstore.routing.sides import S, Sides
from chatstore.routing.standing import key_of

logger = logging.getLogger("chatstore.routing")

_PASSES = 3
_REST = 10
_LONGEST_PAUSE = 300.0


@dataclass(frozen=True, slots=True)
class Portion:
    """How much is taken at a time: a small part of a page, so that several repairers take different parts of it.

    Attributes:
        page: How many marks are read at a time.
        keys: How many keys one merge takes.
        at_once: How many merges are under way at once.
    """

    page: int
    keys: int
    at_once: int


class Repairer(Generic[S]):
    """Merges what both journals of one kind mark.

    Several at once, in any processes, share the work: each takes the keys of a page in an order of its own, and looks
    just before a merge which of its marks still stand, and whether somebody else is at work on their keys. Where two
    take the same key all the same, both merge it, which does no harm.

    Args:
        sides: The two stores.
        merge: Merges a group of marks.
        portion: How much is taken at a time.
        kind: Chat or documents, for the log.
        grace: Marks younger than this are left to their writers.
        one_sided: Also merge what was written to one side on purpose, at `off` or `complete`.
    """

    def __init__(
        self,
        sides: Sides[S],
        merge: GroupMerger[S],
        portion: Portion,
        *,
        kind: Kind,
        grace: timedelta = timedelta(0),
        one_sided: bool = True,
    ) -> None:
        self._sides = sides
        self._merge = merge
        self._portion = portion
        self._kind = kind
        self._grace = grace
        self._one_sided = one_sided
        self._complaints = Complaints()

    async def run(self, marks: Sequence[Mark] | None = None) -> RepairReport:
        """Merge every key that is marked now, oldest first; it comes to an end, however much is written meanwhile.

        A key that cannot be merged keeps none of the others from it.

        Args:
            marks: Only the keys of these are merged, once.

        Raises:
            UnavailableError: A side did not answer; what was merged until then is merged, the rest stays marked.
        """
        report, failure = await (self._run() if marks is None else self._run_over(marks))
        if failure is not None:
            raise failure
        return report

    async def watch(self, pause: float = 1.0) -> None:
        """Repair again and again until cancelled, and log each of the `rounds`."""
        async for done in self.rounds(pause):
            logger.info("%s: %s", self._kind, done)

    async def rounds(self, pause: float = 1.0) -> AsyncIterator[Round]:
        """Repair again and again, `pause` seconds apart, and yield each round in which something changed.

        A server that is away is waited for, and a defect is logged with its traceback; neither ends it. Where reading
        the marks takes long and none of them is to be merged, the pauses grow with it, so that looking takes a tenth of
        the time at the most.
        """
        known, seen = Backlog(0, None), False
        while True:
            report, failure = await self._run()
            seen_before, seen = seen, any((report.merged, report.left, report.quarantined))
            if seen or seen_before:
                try:
                    backlog = await self._sides.backlog()
                except Exception as error:  # noqa: BLE001 - nothing ends a watch but its cancellation
                    failure = error
                else:
                    if report.merged or backlog.marks != known.marks:
                        yield Round(report, backlog)
                    known = backlog
            if report.quarantined:
                self._complaints.say(f"{self._kind}: {report.quarantined} marked keys cannot be merged", kind="stuck")
            if failure is not None:
                self._complaints.failed(f"{self._kind}: repair waits", failure, kind="waits")
            in_vain = not report.merged and failure is None
            idle = min(_REST * report.seconds, _LONGEST_PAUSE) if in_vain else 0.0
            await asyncio.sleep(max(pause, idle))

    async def _run(self) -> tuple[RepairReport, Exception | None]:
        """Return what was done, and the first error of what was not."""
        begun, until = time.monotonic(), utc_now()
        report, failure = RepairReport(), None
        for _ in range(_PASSES):
            done, failure = await self._pass(until)
            report = replace(done, merged=report.merged + done.merged)
            # What others were at work on is most often done by now, or was left by two who met there.
            if failure is not None or not done.left or not done.merged:
                break
        return replace(report, seconds=time.monotonic() - begun), failure

    async def _run_over(self, marks: Sequence[Mark]) -> tuple[RepairReport, Exception | None]:
        report, failure = RepairReport(), None
        for side in Side:
            work = await self._work(side, [mark for mark in marks if mark.side is side])
            report, failure = report + work.report, failure or work.failure
        return report, failure

    async def _pass(self, until: datetime) -> tuple[RepairReport, Exception | None]:
        report, failure = RepairReport(), None
        for side in Side:
            journal, size = self._sides[side].journal, self._portion.page
            try:
                async for page in journal.walk(until=until, page=size, one_sided=self._one_sided):
                    work = await self._work(side, page)
                    report += work.report
                    failure = failure or work.failure
                    if work.is_in_vain:
                        break
            except ChatStoreError as error:
                return report, error
            except Exception as error:  # noqa: BLE001 - a defect in one journal keeps nobody from merging the other
                failure = failure or error
        return report, failure

    async def _work(self, side: Side, page: Sequence[Mark]) -> _Work:
        work, gate = _Work(), asyncio.Semaphore(self._portion.at_once)

        async def take(group: Sequence[Mark]) -> None:
            async with gate:
                if work.is_in_vain:
                    return
                try:
                    report = await self._merge(side, group, utc_now())
                except Exception as error:  # noqa: BLE001 - as one group's failure keeps no other from being merged
                    work.failure = work.failure or error
                else:
                    work.report += report

        await asyncio.gather(*map(take, self._groups(page)))
        return work

    def _groups(self, page: Sequence[Mark]) -> list[list[Mark]]:
        """Return a page's marks as groups that one merge takes, each with all marks of some keys."""
        now = utc_now()
        by_key: dict[tuple[str, str], list[Mark]] = {}
        for mark in page:
            if now - mark.at >= self._grace and (self._one_sided or not mark.while_open):
                by_key.setdefault(key_of(mark), []).append(mark)
        keys = list(by_key.values())
        random.shuffle(keys)
        size = self._portion.keys
        return [[mark for marks in keys[at : at + size] for mark in marks] for at in range(0, len(keys), size)]


@dataclass(slots=True)
class _Work:
    """What came of one page of marks.

    Attributes:
        report: What was done.
        failure: The first error of what was not done.
    """

    report: RepairReport = field(default_factory=RepairReport)
    failure: Exception | None = None

    @property
    def is_in_vain(self) -> bool:
        """Whether a side failed and nothing was merged yet: it is away, and not one record at fault."""
        return isinstance(self.failure, AWAY) and not self.report.merged


def chat_repairer(
    sides: Sides[ChatSide], *, progress: Progress | None = None, grace: timedelta = timedelta(0), one_sided: bool = True
) -> Repairer[ChatSide]:
    """Return a repairer of sessions and messages.

    Args:
        sides: The two stores.
        progress: Where it is noted what one side can't take or give. Its marks stay, so that a repair merges it once it
            was put right.
        grace: Marks younger than this are left to their writers.
        one_sided: Also merge what was written to one side on purpose, at `off` or `complete`.
    """
    merge = GroupMerger(sides, merge_chat, name=lambda mark: str(ChatKey(mark.key)), progress=progress)
    portion = Portion(page=500, keys=1, at_once=8)
    return Repairer(sides, merge, portion, kind=Kind.CHAT, grace=grace, one_sided=one_sided)


def document_repairer(
    sides: Sides[DocumentSide],
    *,
    progress: Progress | None = None,
    grace: timedelta = timedelta(0),
    one_sided: bool = True,
) -> Repairer[DocumentSide]:
    """Return a repairer of documents; see `chat_repairer` for the arguments."""
    merge = GroupMerger(
        sides,
        merge_documents,
        name=lambda mark: document_name(DocumentKey(mark.user_id, mark.key)),
        progress=progress,
    )
    portion = Portion(page=2000, keys=50, at_once=2)
    return Repairer(sides, merge, portion, kind=Kind.DOCUMENTS, grace=grace, one_sided=one_sided)

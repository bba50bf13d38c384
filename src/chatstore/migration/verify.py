"""Verify: the content of every record, on both sides, while the app goes on writing.

First the old side is read from its beginning to its end, and each record is compared with what the new side holds under
the same key; then the new side, for what the old one lacks. Neither counts nor checksums stand in for a record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Generic, TypeVar

from chatstore.interfaces import ChatSide, DocumentSide, Progress
from chatstore.migration.backfill import Repair
from chatstore.migration.compare import Difference
from chatstore.migration.counting import counted_beside
from chatstore.migration.events import OnProgress, Step
from chatstore.migration.pairs import ChatPair, DocumentPair, Pair
from chatstore.migration.patience import Patience
from chatstore.migration.reading import ahead, batched
from chatstore.migration.reporter import Reporter
from chatstore.migration.reports import Tally, VerifyReport
from chatstore.migration.second_look import SecondLook, States
from chatstore.migration.snapshot import VERIFY
from chatstore.migration.watch import watched
from chatstore.models import MigrationState, Quarantined, Side, utc_now

C = TypeVar("C")
K = TypeVar("K")
R = TypeVar("R")

_STEPS = {Side.OLD: Step.COMPARE_OLD, Side.NEW: Step.COMPARE_NEW}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """How a verify goes about its work.

    Attributes:
        batch: How many records are compared at once, at least; also how many are held in memory, a few times over.
        looks: How often a record that differs is looked at again, while it is marked or changes.
        wait: Seconds before the second of these looks; doubled before each further one.
        listed: How many differences the report lists; all are counted.
        proof_one_in: Documents: how many there may be to each one that is searched for.
        patience: How long it waits for a server that is away.
    """

    batch: int = 1000
    looks: int = 5
    wait: float = 0.2
    listed: int = 100
    proof_one_in: int = 50
    patience: Patience = field(default_factory=Patience)


async def verify_chat(
    old: ChatSide,
    new: ChatSide,
    progress: Progress,
    *,
    repair: Repair,
    on_progress: OnProgress | None = None,
    options: VerifyOptions | None = None,
) -> VerifyReport:
    """Compare every session and message of both sides, and return what differs.

    When nothing does, and a backfill came to its end before, both journals remember that. Records in quarantine do not
    stand against it: they are counted, and it is the operator who goes on without them. A way back that was closed is
    then open again, if a backfill from the new side has opened the journals: the old side is whole, and what it misses
    from now on is marked.

    Args:
        old: The old side.
        new: The new side.
        progress: Where the quarantine is.
        repair: Merges every marked key.
        on_progress: Is called with each `ProgressEvent`.
        options: How to go about it.

    Raises:
        UnavailableError: A server was away for longer than the patience lasts.
    """
    return await _Verify(ChatPair(old, new), progress, repair, on_progress, options).run()


async def verify_documents(
    old: DocumentSide,
    new: DocumentSide,
    progress: Progress,
    *,
    repair: Repair,
    on_progress: OnProgress | None = None,
    options: VerifyOptions | None = None,
) -> VerifyReport:
    """Compare every document of both sides, as `verify_chat` does, and prove that the new side finds them.

    That is: a sample of its documents, at least one of each user, is searched for by their own embeddings.
    """
    settled = options or VerifyOptions()
    pair = DocumentPair(old, new, proof_one_in=settled.proof_one_in)
    return await _Verify(pair, progress, repair, on_progress, settled).run()


class _Verify(Generic[C, K, R]):
    """One run."""

    def __init__(
        self,
        pair: Pair[C, K, R],
        progress: Progress,
        repair: Repair,
        on_progress: OnProgress | None,
        options: VerifyOptions | None,
    ) -> None:
        self._pair = pair
        self._progress = progress
        self._options = options or VerifyOptions()
        self._reporter = Reporter(pair.kind, on_progress)
        self._patience = replace(self._options.patience, on_wait=self._reporter.tries_again)
        self._look = SecondLook(pair, repair, self._patience, self._options.looks, self._options.wait)
        self._compared = {Side.OLD: Tally(), Side.NEW: Tally()}
        self._listed: list[Difference] = []
        self._difference_count = 0
        self._quarantined = 0
        self._proved = 0
        self._differed: set[K] = set()
        self._in_quarantine: set[str] = set()

    async def run(self) -> VerifyReport:
        async with watched(self._reporter, self._progress, VERIFY, holder=None):
            return await self._verify()

    async def _verify(self) -> VerifyReport:
        states = await self._states()
        # Their names only: this grows with what is wrong, not with what there is.
        self._in_quarantine = {record.key async for record in self._progress.quarantined()}
        for side in Side:
            await self._compare(side)
        backfilled = all(state.backfilled_at is not None for state in states)
        if backfilled or self._difference_count:
            await self._patience.until_done(self._remember)
        closed = any(state.way_back_closed for state in states)
        reopened = closed and backfilled and not self._difference_count and await self._reopen(states)
        self._reporter.tell()
        return VerifyReport(
            kind=self._pair.kind,
            old=self._compared[Side.OLD],
            new=self._compared[Side.NEW],
            proved=self._proved,
            difference_count=self._difference_count,
            differences=tuple(self._listed),
            quarantined=self._quarantined,
            backfilled=backfilled,
            way_back_closed=closed and not reopened,
            reopened=reopened,
            seconds=self._reporter.seconds,
            retries=self._reporter.retries,
            steps=self._reporter.history.steps,
            samples=self._reporter.history.samples,
        )

    async def _states(self) -> list[MigrationState]:
        return [await journal.state() for journal in self._pair.journals]

    async def _remember(self) -> None:
        now = utc_now()
        for journal in self._pair.journals:
            if self._difference_count:
                await journal.remember(differed_at=now)
            else:
                await journal.remember(verified_at=now)

    async def _reopen(self, before: Sequence[MigrationState]) -> bool:
        """Open a way back that was closed, if every write left its mark for as long as this run compared."""
        if not all(state.journal_open for state in (*before, *await self._patience.until_done(self._states))):
            return False
        for journal in self._pair.journals:
            await self._patience.until_done(partial(journal.remember, way_back_closed=False))
        return True

    async def _compare(self, side: Side) -> None:
        """Compare all that one side holds with the other one."""
        counter = self._pair.counter()
        self._reporter.begin(_STEPS[side])
        pages = self._patience.pages(lambda cursor: self._pair.scan(side, cursor), None)
        batches = ahead(batched(pages, self._options.batch, counter.weigh))
        async with counted_beside(self._reporter, lambda: self._pair.count(side)), aclosing(batches):
            async for batch in batches:
                await self._keep(batch.quarantined)
                await self._compare_batch(side, self._pair.records(batch.changes))
                self._compared[side] += counter.tally(batch.changes)
                self._reporter.moved(
                    done=self._compared[side].records,
                    quarantined=self._quarantined,
                    differences=self._difference_count,
                )

    async def _compare_batch(self, side: Side, here: dict[K, R]) -> None:
        there = await self._patience.until_done(lambda: self._pair.read(side.other, here.keys()))
        suspects = {
            key: states
            for key, record in here.items()
            # What both sides hold was compared when the old side was read.
            if (side is Side.OLD or key not in there)
            and self._pair.differences(key, *(states := _states(side, record, there.get(key))))
        }
        differing = await self._look.differing(suspects)
        for key, states in differing.items():
            if key not in self._differed and not self._is_missing_within(key, differing):
                self._judge(key, states)
        # A session that goes on in the next batch has its header there once more.
        self._differed = set(differing)
        if side is Side.NEW:
            proof = await self._patience.until_done(lambda: self._pair.prove(list(here.values())))
            self._proved += proof.proved
            self._add(proof.differences)

    def _is_missing_within(self, key: K, differing: Mapping[K, States[R]]) -> bool:
        """Return whether a record is missing because the one that it lies in is: one difference, not a thousand."""
        outer = self._pair.within(key)
        return outer is not None and None in differing.get(outer, ())

    def _judge(self, key: K, states: States[R]) -> None:
        """Count what differs: as a difference, or as quarantined."""
        names = self._pair.names(key)
        if self._in_quarantine.intersection(names):
            self._quarantined += 1
        else:
            self._add(self._pair.differences(key, *states))

    def _add(self, differences: Sequence[Difference]) -> None:
        self._difference_count += len(differences)
        self._listed += differences[: self._options.listed - len(self._listed)]

    async def _keep(self, unreadable: Sequence[Quarantined]) -> None:
        if unreadable:
            self._quarantined += len(unreadable)
            await self._patience.until_done(lambda: self._progress.quarantine(unreadable))


def _states(side: Side, here: R, there: R | None) -> States[R]:
    return (here, there) if side is Side.OLD else (there, here)

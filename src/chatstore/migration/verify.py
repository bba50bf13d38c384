"""Verify: the content of every record, on both sides, while the app goes on writing.

First the old side is walked, and each of its records compared with what the new side holds under the same key, and the
messages that the new side holds beside those; then the new side is walked, for what the old one lacks as a whole. Equal
counts say nothing here.

A session need not be read for that where a digest proves it equal. When it was copied, the old side told a fingerprint
of all that it holds of the session, made in the same step as the reading; and the new side noted, with it, a digest of
the rows that it must hold when it holds what was read. Now the old side is asked for the fingerprint again, and the new
side makes the digest of the rows that it holds now. Say the fingerprint of time t1 is the one that was noted, and the
digest of the rows of time t2 is, too. Then the old side held at t1 what was read when it was copied, and the new side
held at t2 exactly what that reading comes to. A comparison of contents says no more: it reads the old side at a t1 and
the new side at a t2, and finds that the one reading comes to the other. What is written between t1 and t2 is marked in
both cases, and no digest can hide it for longer than that. What is not proved is no difference: its contents are read
and compared. Two things are trusted in this: that neither hash collides, and that a copy of the same reading would be
the same rows. So a digest that was noted by another way of making rows must not be taken for one of this way: whoever
notes it says by which.

What looks different is looked at again before it is called a difference (`second_look`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Generic, TypeVar

from chatstore.interfaces import ChatSide, DocumentSide, Progress
from chatstore.migration.batches import in_order
from chatstore.migration.chat_pair import ChatPair
from chatstore.migration.checkpoint import BEGINNING
from chatstore.migration.collecting import collecting_seldom
from chatstore.migration.compare import Difference
from chatstore.migration.counting import counted_beside
from chatstore.migration.document_pair import DocumentPair
from chatstore.migration.events import OnProgress, Step
from chatstore.migration.pace import Pace
from chatstore.migration.pairs import Compared, Pair, States
from chatstore.migration.patience import Patience
from chatstore.migration.planning import Planned, plan
from chatstore.migration.reporter import Reporter
from chatstore.migration.reports import Tally, VerifyReport
from chatstore.migration.second_look import Mend, SecondLook
from chatstore.migration.snapshot import VERIFY
from chatstore.migration.watch import watched
from chatstore.models import MigrationState, Quarantined, Side, utc_now

W = TypeVar("W")
K = TypeVar("K")
R = TypeVar("R")

_STEPS = {Side.OLD: Step.COMPARE_OLD, Side.NEW: Step.COMPARE_NEW}

_JUDGED = 100_000
"""How many records are remembered as judged, so that one that is met twice is one difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """How a verify goes about its work.

    Attributes:
        batch: How many sessions, or documents, are compared as one, at most; None: what suits the kind.
        at_once: How many batches are under way at once.
        looks: How often a record that differs is looked at again, while it is marked; more often, while it changes.
        wait: Seconds before the second of these looks; doubled before each further one.
        listed: How many differences the report lists; all are counted.
        proof_one_in: Documents: how many there may be to each one that is searched for.
        patience: How long it waits for a server that is away.
    """

    batch: int | None = None
    at_once: int = 4
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
    repair: Mend,
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
        repair: Merges the keys of the marks that it is given (`Repairer.run` does).
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
    repair: Mend,
    on_progress: OnProgress | None = None,
    options: VerifyOptions | None = None,
) -> VerifyReport:
    """Compare every document of both sides, as `verify_chat` does, and prove that the new side finds them.

    That is: a sample of its documents, at least one of each user, is searched for by their own embeddings.
    """
    settled = options or VerifyOptions()
    pair = DocumentPair(old, new, proof_one_in=settled.proof_one_in)
    return await _Verify(pair, progress, repair, on_progress, settled).run()


class _Verify(Generic[W, K, R]):
    """One run."""

    def __init__(
        self,
        pair: Pair[W, K, R],
        progress: Progress,
        repair: Mend,
        on_progress: OnProgress | None,
        options: VerifyOptions | None,
    ) -> None:
        self._pair = pair
        self._progress = progress
        self._options = options or VerifyOptions()
        self._reporter = Reporter(pair.kind, on_progress)
        self._patience = replace(self._options.patience, on_wait=self._reporter.tries_again)
        self._pace = Pace(
            progress,
            pair.kind,
            self._reporter,
            source=pair.loads[0],
            target=pair.loads[1],
            most=self._options.at_once,
        )
        self._side = Side.OLD
        self._look = SecondLook(
            pair,
            repair,
            self._patience,
            looks=self._options.looks,
            wait=self._options.wait,
            judge=self._judge,
            again=self._compare_again,
        )
        self._compared = Compared()
        self._by_digest = Tally()
        self._listed: list[Difference] = []
        self._difference_count = 0
        self._quarantined = 0
        self._found = 0
        self._judged: dict[K, None] = {}
        self._in_quarantine: set[str] = set()

    async def run(self) -> VerifyReport:
        with collecting_seldom():
            async with watched(self._reporter, self._progress, VERIFY, holder=None), self._pace:
                return await self._verify()

    async def _verify(self) -> VerifyReport:
        states = await self._states()
        # Their names only: this grows with what is wrong, not with what there is.
        self._in_quarantine = {record.key async for record in self._progress.quarantined()}
        backfilled = all(state.backfilled_at is not None for state in states)
        for side in Side:
            await self._walk(side, partial(self._pair.total, side, backfilled=backfilled))
        if backfilled or self._difference_count:
            await self._patience.until_done(self._remember)
        closed = any(state.way_back_closed for state in states)
        reopened = closed and backfilled and not self._difference_count and await self._reopen(states)
        self._reporter.tell()
        return VerifyReport(
            kind=self._pair.kind,
            old=self._compared.old,
            new=self._compared.new,
            by_digest=self._by_digest,
            proved=self._found,
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

    async def _walk(self, side: Side, count: Callable[[], Awaitable[int]]) -> None:
        """Compare all that one side holds with the other one; `count` tells how much that is, about."""
        self._side = side
        self._reporter.begin(_STEPS[side])
        pages = self._patience.pages(lambda cursor: self._pair.keys(side, cursor), None)
        size = self._options.batch or self._pair.at_once
        planned = plan({BEGINNING: pages}, size=lambda: size)
        batches = in_order(planned, self._compare_batch, at_once=lambda: self._pace.at_once)
        done = 0
        async with counted_beside(self._reporter, count), aclosing(batches):
            async for batch, compared in batches:
                if compared.quarantined:
                    await self._keep(compared.quarantined)
                self._compared += compared
                done += compared.old.records if side is Side.OLD else len(batch.keys)
                self._tell(done)
            await self._look.settle()
            self._tell(done)

    def _tell(self, done: int) -> None:
        self._reporter.moved(done=done, quarantined=self._quarantined, differences=self._difference_count)

    async def _compare_batch(self, planned: Planned[W]) -> Compared:
        """Compare the records of a batch, in as many turns as the pace gives it."""

        async def some(keys: Sequence[W]) -> tuple[Compared, int]:
            did = await self._compare_part(keys)
            return did, max(did.old.records, did.new.records, len(keys))

        compared = [did async for did in self._pace.in_turns(planned.keys, some)]
        return sum(compared, Compared(quarantined=planned.quarantined))

    async def _compare_part(self, keys: Sequence[W]) -> Compared:
        side, compared = self._side, Compared()
        with self._reporter.batch():
            passed = await self._patience.until_done(lambda: self._pair.passed_over(side, keys))
            if side is Side.OLD:
                proved = sum(passed.values(), Tally())
                self._by_digest += proved
                compared += Compared(old=proved, new=proved)
            else:
                await self._prove(keys)
            rest = [key for key in keys if key not in passed]
            size = self._pair.read_at_once
            for start in range(0, len(rest), size):
                part = rest[start : start + size]
                compared += await self._patience.until_done(partial(self._pair.compare, side, part, self._look.add))
            await self._look.tend()
        return compared

    async def _compare_again(self, key: W) -> None:
        """Compare what was passed over, because the record that it lies in was missing on one side; it was counted."""
        await self._patience.until_done(lambda: self._pair.compare(self._side, [key], self._look.add))

    async def _prove(self, keys: Sequence[W]) -> None:
        proof = await self._patience.until_done(lambda: self._pair.prove(keys))
        self._found += proof.proved
        self._add(proof.differences)

    def _judge(self, key: K, states: States[R]) -> None:
        """Count what differs: as a difference, or as quarantined."""
        if key in self._judged:
            return
        self._judged[key] = None
        if len(self._judged) > _JUDGED:
            del self._judged[next(iter(self._judged))]
        if self._in_quarantine.intersection(self._pair.names(key)):
            self._quarantined += 1
        else:
            self._add(self._pair.differences(key, *states))

    def _add(self, differences: Sequence[Difference]) -> None:
        self._difference_count += len(differences)
        self._listed += differences[: self._options.listed - len(self._listed)]

    async def _keep(self, unreadable: Sequence[Quarantined]) -> None:
        self._quarantined += len(unreadable)
        await self._patience.until_done(lambda: self._progress.quarantine(unreadable))

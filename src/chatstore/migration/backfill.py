"""Backfill: every record that the source held before is on the target, while the app goes on writing.

Why it is enough to write each record once, and not to read the source again after the write: before the first page is
read, both journals are open, so from then on every write leaves a mark until it is on both sides. A record that was
written or deleted after it was read here is thus either on the target already, with a greater version, and the join
keeps that; or it is marked, and the repair joins it. Tombstones are durable and part of the join, so what was read
here too early cannot bring a deleted record back. A target that cannot join in one atomic step is written under an
announcement, which makes such a meeting a mark as well (`announced`).

On the way back the target held records before, and what the source deleted while no mark was kept, because the way back
was closed, must go there, too. A scan of the source does not tell of it; so the target is scanned, and the source asked
which of its records it knows to be deleted.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Generic, TypeAlias, TypeVar

from chatstore.errors import StaleSideError
from chatstore.interfaces import ChatSide, DocumentSide, Progress
from chatstore.migration.batches import Batch, Done, Runner, Work, in_order
from chatstore.migration.checkpoint import BEGINNING, Checkpoint, Tallied, reached, run_name
from chatstore.migration.collecting import collecting_seldom
from chatstore.migration.copies import ChatCopy, Copy, DocumentCopy
from chatstore.migration.counting import counted_beside
from chatstore.migration.events import OnProgress, Step
from chatstore.migration.lease import Lease
from chatstore.migration.pace import Pace
from chatstore.migration.patience import Patience
from chatstore.migration.planning import Planned, plan
from chatstore.migration.reporter import Reporter
from chatstore.migration.reports import BackfillReport
from chatstore.migration.watch import watched
from chatstore.models import DocumentKey, Kind, Quarantined, Side, new_token, utc_now

K = TypeVar("K")

Repair: TypeAlias = Callable[[], Awaitable[object]]
"""Merges every key that is marked in either journal."""

_RELEASED_AT_ONCE = 500

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillOptions:
    """How a backfill goes about its work.

    Attributes:
        batch: How many sessions, or documents, are copied as one, at most, and copied again after a kill; None: what
            suits the kind.
        at_once: How many batches are under way at once, unless an operator sets another limit.
        lease_seconds: How long a killed run keeps others out.
        settle_seconds: Where the source is not atomic: how long a write may take that began before the journal was
            opened, and so leaves no mark. A run that begins anew reads the first page after that.
        patience: How long it waits for a server that is away.
    """

    batch: int | None = None
    at_once: int = 4
    lease_seconds: float = 30.0
    settle_seconds: float = 60.0
    patience: Patience = field(default_factory=Patience)


async def backfill_chat(
    source: ChatSide,
    target: ChatSide,
    progress: Progress,
    *,
    repair: Repair,
    on_progress: OnProgress | None = None,
    options: BackfillOptions | None = None,
    runner: Runner[str] | None = None,
) -> BackfillReport:
    """Copy every session with its messages from `source` to `target`, and return what was done.

    May be killed at any moment and called again: it goes on from its checkpoint. Neither does it overwrite what is
    newer on the target, nor bring back what was deleted. What cannot be read or taken lies in quarantine afterwards.

    Args:
        source: The side to read.
        target: The side to write.
        progress: Where the lease, the checkpoint and the quarantine are.
        repair: Merges every marked key.
        on_progress: Is called with each `ProgressEvent`.
        options: How to go about it.
        runner: Does the batches; in this process when left out.

    Raises:
        LeaseLostError: Another runner is at work.
        StaleSideError: The source is the old side, and may be behind, because the way back was closed.
        UnavailableError: A server was away for longer than the patience lasts.
    """
    copy = ChatCopy(source, target)
    return await _Backfill(copy, progress, repair=repair, on_progress=on_progress, options=options, runner=runner).run()


async def backfill_documents(
    source: DocumentSide,
    target: DocumentSide,
    progress: Progress,
    *,
    repair: Repair,
    on_progress: OnProgress | None = None,
    options: BackfillOptions | None = None,
    runner: Runner[DocumentKey] | None = None,
) -> BackfillReport:
    """Copy every document with its embedding, as `backfill_chat` does with sessions."""
    copy = DocumentCopy(source, target)
    return await _Backfill(copy, progress, repair=repair, on_progress=on_progress, options=options, runner=runner).run()


class _Backfill(Generic[K]):
    """One run."""

    def __init__(
        self,
        copy: Copy[K],
        progress: Progress,
        *,
        repair: Repair,
        on_progress: OnProgress | None,
        options: BackfillOptions | None,
        runner: Runner[K] | None,
    ) -> None:
        self._copy = copy
        self._runner = runner or copy.do
        self._progress = progress
        self._repair = repair
        self._options = options or BackfillOptions()
        self._reporter = Reporter(copy.kind, on_progress)
        self._patience = replace(self._options.patience, on_wait=self._reporter.tries_again)
        self._pace = Pace(
            progress, copy.kind, self._reporter, source=copy.loads[0], target=copy.loads[1], most=self._options.at_once
        )
        self._name = run_name(copy.source_side)
        self._starts: Sequence[str | None] = (None,)
        # What was done of each walk behind its last known place: a run that is resumed does it, and counts it, again.
        self._ahead: dict[str, Tallied] = {}
        self._notes: dict[str, None] = {}
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{new_token()}"

    async def run(self) -> BackfillReport:
        with collecting_seldom():
            begun, ended = await self._run()
        self._reporter.tell()
        return BackfillReport(
            kind=self._copy.kind,
            source=self._copy.source_side,
            target=self._copy.target_side,
            copied=ended.copied,
            unchanged=ended.unchanged,
            quarantined=ended.quarantined,
            resumed=bool(begun.places),
            seconds=self._reporter.seconds,
            notes=tuple(dict.fromkeys((*self._copy.notes, *self._notes))),
            source_load=self._pace.source_load,
            target_load=self._pace.target_load,
            retries=self._reporter.retries,
            steps=self._reporter.history.steps,
            samples=self._reporter.history.samples,
        )

    async def _run(self) -> tuple[Checkpoint, Checkpoint]:
        """Return from where the run went, and how far."""
        async with (
            Lease(self._progress, self._holder, self._options.lease_seconds) as lease,
            watched(self._reporter, self._progress, self._name, holder=self._holder),
            self._pace,
        ):
            begun = await self._begin()
            async with self._pace.turn(0):
                pass  # A run that is held from its beginning reads nothing.
            ended = await self._copy_from(begun, lease)
            if self._copy.target_side is Side.OLD:
                ended = await self._delete_from_target(ended, lease)
            await self._end(ended, lease)
        return begun, ended

    async def _begin(self) -> Checkpoint:
        """Open both journals and return where to start.

        Raises:
            StaleSideError: The source may be behind.
        """
        states = [await journal.state() for journal in self._copy.journals]
        if self._copy.source_side is Side.OLD and any(state.way_back_closed for state in states):
            raise StaleSideError(_stale(self._copy.kind))
        for journal in self._copy.journals:
            await journal.remember(journal_open=True)
        self._starts = await self._copy.starts()
        checkpoint = await reached(self._progress, self._copy.source_side)
        if checkpoint is not None:
            if not all(state.journal_open for state in states):
                # While a journal was closed, writes behind the checkpoint left no mark.
                _log.warning("a journal was closed since the last run, so the %s starts over", self._name)
            elif checkpoint.space != self._copy.space:
                _log.warning(
                    "the layout or the prefix is another since the last run, so the %s starts over", self._name
                )
            elif not checkpoint.fits(self._starts):
                _log.warning(
                    "the servers of the source are others since the last run, so the %s starts over", self._name
                )
            else:
                return checkpoint
        if not self._copy.source_atomic:
            # Even where the journal was open: it may have been opened just now, by a run that was killed in this pause.
            self._reporter.waits("writes that began before the journal was opened have time to end")
            await asyncio.sleep(self._options.settle_seconds)
        return Checkpoint(space=self._copy.space, started_at=utc_now())

    async def _copy_from(self, checkpoint: Checkpoint, lease: Lease) -> Checkpoint:
        if checkpoint.places:
            self._reporter.resumes()
        self._reporter.begin(Step.COPY, done=checkpoint.records)
        skip = await self._skip()
        async with counted_beside(self._reporter, self._copy.count):
            async for planned, done in self._done(checkpoint.left(self._starts), Work.COPY, skip=skip, lease=lease):
                checkpoint = await self._move(checkpoint, planned, done, lease)
        return checkpoint

    async def _delete_from_target(self, checkpoint: Checkpoint, lease: Lease) -> Checkpoint:
        """Bring deletions over. A run that is resumed does this from the beginning: the checkpoint is the copy's."""
        self._reporter.begin(Step.DELETE)
        async for _, done in self._done({BEGINNING: None}, Work.DELETE, skip=False, lease=lease):
            if done.quarantined:
                await self._quarantine(done.quarantined, checkpoint.started_at)
            checkpoint = replace(checkpoint, quarantined=checkpoint.quarantined + len(done.quarantined))
        return checkpoint

    async def _skip(self) -> bool:
        """Return whether to look for what is on the target already: after a run that came to its end, that is most."""
        states = [await self._patience.until_done(journal.state) for journal in self._copy.journals]
        return all(state.backfilled_at is not None for state in states)

    async def _done(
        self, places: Mapping[str, str | None], work: Work, *, skip: bool, lease: Lease
    ) -> AsyncGenerator[tuple[Planned[K], Done], None]:
        """Yield the batches of walks from some places in their order, once they are done, several at once."""
        keys = partial(self._copy.keys, work)
        walks = {name: self._patience.pages(keys, place) for name, place in places.items()}
        batches = plan(walks, size=lambda: self._pace.size(self._options.batch or self._copy.at_once))

        async def some(keys: Sequence[K]) -> tuple[Done, int]:
            kind, source = self._copy.kind, self._copy.source_side
            done = await self._do(
                Batch(kind=kind, source=source, work=work, keys=tuple(keys), holder=lease.holder, skip=skip), lease
            )
            return done, done.records

        async def do(planned: Planned[K]) -> Done:
            return sum([done async for done in self._pace.in_turns(planned.keys, some)], Done())

        async with aclosing(in_order(batches, do, at_once=lambda: self._pace.at_once)) as results:
            async for planned, done in results:
                self._notes.update(dict.fromkeys(done.notes))
                yield planned, done

    async def _do(self, batch: Batch[K], lease: Lease) -> Done:
        with self._reporter.batch():
            await self._patience.until_done(lease.confirm)
            return await self._patience.until_done(lambda: self._runner(batch))

    async def _move(self, checkpoint: Checkpoint, planned: Planned[K], done: Done, lease: Lease) -> Checkpoint:
        """Move the checkpoint behind a batch that is done, if it is the last one before a place that is known."""
        quarantined = (*planned.quarantined, *done.quarantined)
        if quarantined:
            await self._quarantine(quarantined, checkpoint.started_at)
        did = Tallied(done.copied, done.unchanged, len(quarantined))
        self._ahead[planned.walk] = self._ahead.get(planned.walk, Tallied()) + did
        # A part of a step that has several is told with the step's own beginning, which is no progress.
        has_moved = planned.cursor is not None and planned.cursor != checkpoint.places.get(planned.walk)
        if has_moved or planned.is_end:
            checkpoint = checkpoint.moved(planned.walk, planned.cursor, self._ahead.pop(planned.walk))
            text = checkpoint.encode()
            await self._save(text, lease)
        so_far = sum(self._ahead.values(), checkpoint.tallied)
        self._reporter.moved(
            done=so_far.records,
            quarantined=so_far.quarantined,
            unchanged=so_far.unchanged.records,
            reading=done.reading,
            writing=done.writing,
        )
        return checkpoint

    async def _save(self, checkpoint: str | None, lease: Lease) -> None:
        save = partial(self._progress.save_checkpoint, self._name, checkpoint, lease.holder)
        await self._patience.until_done(partial(lease.fenced, save))

    async def _quarantine(self, records: tuple[Quarantined, ...], not_before: datetime) -> None:
        for record in records:
            _log.warning("%s goes to quarantine: %s", record.key, record.reason)
        # Not before the run began, by whichever machine's clock: `_release_taken` tells the old ones by that.
        stamped = [replace(record, at=max(record.at, not_before)) for record in records]
        await self._patience.until_done(lambda: self._progress.quarantine(stamped))

    async def _end(self, ended: Checkpoint, lease: Lease) -> None:
        """Make the sides equal, say so, and forget the checkpoint; in this order, so a kill repeats the end only."""
        self._reporter.begin(Step.REPAIR, done=ended.records, total=ended.records)
        await self._patience.until_done(self._repair)
        await self._patience.until_done(lease.confirm)
        await self._patience.until_done(lambda: self._release_taken(ended.started_at))
        await self._patience.until_done(self._remember_end)
        await self._save(None, lease)

    async def _remember_end(self) -> None:
        now = utc_now()
        for journal in self._copy.journals:
            await journal.remember(backfilled_at=now)

    async def _release_taken(self, started_at: datetime) -> None:
        """Forget what was in quarantine before: this run looked at all of it, and put back what is still wrong.

        Only on the way from old to new; a way back looks at the new side, and says nothing about the old one's records.
        """
        if self._copy.source_side is not Side.OLD:
            return
        stale = [record.key async for record in self._progress.quarantined() if record.at < started_at]
        for start in range(0, len(stale), _RELEASED_AT_ONCE):
            await self._progress.release_quarantined(stale[start : start + _RELEASED_AT_ONCE])


def _stale(kind: Kind) -> str:
    return (
        f"{kind}: Redis may be behind since the way back was closed, and a copy of it could undo what was written to "
        f"the new side meanwhile. To open the way back again, run `chatstore migrate --back --{kind}`, then "
        f"`chatstore verify --{kind}`"
    )

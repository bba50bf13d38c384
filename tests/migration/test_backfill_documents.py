"""A backfill of documents, onto a side that joins in one step and onto one that does not."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from chatstore.errors import BusyError
from chatstore.migration.announced import put_announced
from chatstore.migration.backfill import BackfillOptions, backfill_documents
from chatstore.migration.checkpoint import Checkpoint
from chatstore.migration.patience import Patience
from chatstore.migration.reports import BackfillReport, Tally
from chatstore.models import (
    DeleteDocuments,
    Document,
    DocumentChange,
    DocumentKey,
    Mark,
    ScanPage,
    Side,
    utc_now,
)
from chatstore.routing import Sides, document_repairer, settle
from chatstore.testing.memory_documents import MemoryDocuments
from tests.migration.doubles import (
    DocumentWorld,
    KilledError,
    Life,
    Once,
    PickyDocuments,
    TwoStepDocuments,
    Watched,
    document_content,
    legacy_document,
    upsert,
)

QUICK = BackfillOptions(batch=3, settle_seconds=0.0125, patience=Patience(first=0.001, longest=0.01, limit=0.5))


async def filled(new: Any = None) -> DocumentWorld:
    world = DocumentWorld(new=new or TwoStepDocuments(Side.NEW))
    await world.old.put([legacy_document(f"d{number}", "x" * number) for number in range(10)])
    return world


async def backfill(world: DocumentWorld, **changes: Any) -> BackfillReport:
    parts = {"source": world.old, "target": world.new, "progress": world.progress} | changes
    return await backfill_documents(
        parts["source"], parts["target"], parts["progress"], repair=world.repair, options=QUICK
    )


async def test_every_document_is_on_the_other_side_afterwards() -> None:
    world = await filled()
    report = await backfill(world)
    assert report.copied == Tally(documents=10)
    assert await document_content(world.new) == await document_content(world.old)
    for journal in (world.old.journal, world.new.journal):
        assert (await journal.backlog()).marks == 0


async def test_documents_that_others_write_just_then_are_not_kept_from_a_repair() -> None:
    class Busy(TwoStepDocuments):
        async def put(self, changes: Sequence[DocumentChange]) -> None:
            raise BusyError("written by others")

    world = await filled(Busy(Side.NEW))
    sides = Sides(world.old, world.new)
    with pytest.raises(BusyError):
        await put_announced(sides, Side.OLD, [DocumentKey("u", "d1")], op="backfill")
    assert [mark.lease_until for mark in await world.old.journal.marks(limit=9)] == [None]


async def test_it_works_in_the_other_direction() -> None:
    world = await filled()
    await backfill(world)
    await world.write(world.new, upsert("d99", "from the new side"))
    await backfill(world, source=world.new, target=world.old)
    assert await document_content(world.new) == await document_content(world.old)


async def test_a_second_run_reads_whole_only_what_the_target_lacks() -> None:
    class Source(MemoryDocuments):
        read: tuple[str, ...] = ()

        async def outlines(self, keys: Sequence[DocumentKey]) -> ScanPage[DocumentChange]:
            page = await super().changes(keys)
            bare = (replace(change, document=_bare(change.document)) for change in page.changes)
            return replace(page, changes=tuple(bare))

        async def changes(self, keys: Sequence[DocumentKey]) -> ScanPage[DocumentChange]:
            self.read += tuple(key.id for key in keys)
            return await super().changes(keys)

    class Target(TwoStepDocuments):
        async def lacking(self, changes: Sequence[DocumentChange]) -> Sequence[DocumentChange]:
            held = {change.key: change for change in (await self.changes([change.key for change in changes])).changes}
            return [change for change in changes if change.key not in held or change.version > held[change.key].version]

    old = Source(Side.OLD)
    world = DocumentWorld(old=old, new=Target(Side.NEW))
    await old.put([legacy_document(f"d{number}", "x" * number) for number in range(10)])
    assert (await backfill(world)).copied == Tally(documents=10)
    await old.put([legacy_document("late", "was added since")])
    await old.write(upsert("d3", "was changed since"))
    old.read = ()
    report = await backfill(world)
    assert sorted(old.read) == ["d3", "late"]
    assert (report.copied, report.unchanged) == (Tally(documents=2), Tally(documents=9))
    assert await document_content(world.new) == await document_content(world.old)


def _bare(document: Document | None) -> Document | None:
    return replace(document, text="", embedding=None) if document else None


async def test_a_run_killed_in_the_pause_before_its_first_page_leaves_the_next_to_pause(monkeypatch: Any) -> None:
    world, slept = await filled(), Slept(monkeypatch)
    away = {"source": world.new, "target": world.old}
    for _ in range(2):
        slept.killed = True
        with pytest.raises(KilledError):
            await backfill(world, **away)
        world.progress._lease = None  # It ran out.
    slept.killed = False
    await backfill(world, **away)
    assert slept.pauses == 3
    await world.progress.acquire("stopped", 60)
    await world.progress.save_checkpoint("backfill new to old", Checkpoint(started_at=utc_now()).encode(), "stopped")
    await world.progress.release("stopped")
    await backfill(world, **away)
    assert slept.pauses == 3, "what it goes on from was read after a pause"


class Slept:
    """Counts a backfill's pauses before the first page, and may kill it in one."""

    def __init__(self, monkeypatch: Any) -> None:
        self.pauses, self.killed = 0, False
        self._sleep = asyncio.sleep
        monkeypatch.setattr("chatstore.migration.backfill.asyncio.sleep", self)

    async def __call__(self, seconds: float) -> None:
        await self._sleep(seconds)
        if seconds == QUICK.settle_seconds:
            self.pauses += 1
            if self.killed:
                raise KilledError


async def test_a_run_killed_at_any_moment_is_finished_by_the_next_one() -> None:
    moment, finished = 0, False
    while not finished:
        moment += 1
        world = await filled()
        life = Life(moment)
        try:
            await backfill(
                world,
                source=Watched(world.old, life.told),
                target=Watched(world.new, life.told),
                progress=Watched(world.progress, life.told),
            )
            finished = True
        except KilledError:
            world.progress._lease = None  # It ran out.
            await backfill(world)
        await world.repair()
        assert await document_content(world.new) == await document_content(world.old), moment
    assert moment > 30


async def test_one_document_that_is_refused_goes_to_quarantine_alone() -> None:
    world = await filled(PickyDocuments(Side.NEW))
    await world.old.put([legacy_document("worse", "bad", user="u|1")])
    report = await backfill(world)
    assert [record.key async for record in world.progress.quarantined()] == ["document/u%7C1/worse"]
    assert report.copied == Tally(documents=10)
    assert report.quarantined == 1


async def test_a_refused_document_that_is_marked_already_gets_no_further_mark_by_each_run() -> None:
    class Picky(PickyDocuments, TwoStepDocuments):
        pass

    world = await filled(Picky(Side.NEW))
    await world.old.put([legacy_document("refused", "bad")])
    standing = Mark(key="refused", user_id="u", side=Side.OLD, op="backfill")
    await world.old.journal.add([standing])

    world.repair = _nothing  # type: ignore[method-assign] # As a real one, which passes over what a side refuses.
    for _ in range(3):
        report = await backfill(world)
        assert report.quarantined == 1
        assert [mark.token for mark in await world.old.journal.marks(limit=100)] == [standing.token]


async def test_a_refusal_leaves_no_announcement_behind() -> None:
    class PickyTwoStep(PickyDocuments, TwoStepDocuments):
        pass

    world = await filled(PickyTwoStep(Side.NEW))
    await world.old.put([legacy_document("worse", "bad")])
    world.repair = _nothing  # type: ignore[method-assign]
    assert (await backfill(world)).quarantined == 1
    assert (await world.old.journal.backlog()).marks == 0


@pytest.mark.parametrize(
    ("name", "moment"), [("add", "before"), ("add", "after"), ("changes", "after"), ("put", "before"), ("put", "after")]
)
async def test_writes_at_any_moment_of_a_put_in_two_steps_end_equal_on_both_sides(name: str, moment: str) -> None:
    world = await filled()

    async def live() -> None:
        await world.write(world.old, upsert("d0", "written meanwhile"))
        await world.write(world.old, DeleteDocuments(user_id="u", ids=("d1",)))

    writing = Once(name, moment, live)
    await backfill(world, source=Watched(world.old, writing.told), target=Watched(world.new, writing.told))
    assert writing.done
    content = await document_content(world.new)
    assert content == await document_content(world.old)
    assert content[DocumentKey("u", "d0")].text == "written meanwhile"
    assert DocumentKey("u", "d1") not in content


@pytest.mark.parametrize("first", [Side.OLD, Side.NEW])
async def test_a_writer_in_the_middle_of_a_put_sees_the_announcement_and_leaves_its_mark(first: Side) -> None:
    world = await filled()
    left: list[Mark] = []

    async def write_both() -> None:
        """Write one side and then the other, as the router does for a side that is not atomic."""
        sides = {Side.OLD: world.old, Side.NEW: world.new}
        mark = Mark(key="d0", user_id="u", side=first, op="upsert")
        await sides[first].journal.add([mark])
        written = await sides[first].write(upsert("d0", "written meanwhile"))
        await sides[first.other].put(written.changes)
        left.extend(await settle(Sides(world.old, world.new), [mark], exclusive=True))

    world.new.between = write_both  # type: ignore[attr-defined]
    await backfill(world)
    assert left
    content = await document_content(world.new)
    assert content == await document_content(world.old)
    assert content[DocumentKey("u", "d0")].text == "written meanwhile"


async def test_what_an_ended_put_leaves_to_the_repairer_need_not_wait_for_a_lease() -> None:
    world = await filled()

    async def write() -> None:
        await world.write(world.old, upsert("d0", "written meanwhile"))

    world.new.between = write  # type: ignore[attr-defined]
    world.repair = document_repairer(Sides(world.old, world.new)).run  # type: ignore[method-assign, assignment]
    await backfill(world)
    assert (await world.old.journal.backlog()).marks == 0
    assert await document_content(world.new) == await document_content(world.old)


async def test_a_writer_that_is_still_at_work_when_a_put_ends_keeps_the_announcement_in_place() -> None:
    world = await filled()
    sides = Sides(world.old, world.new)
    mark = Mark(key="d0", user_id="u", side=Side.OLD, op="upsert")
    left: list[Mark] = []

    async def write_both() -> None:
        await world.old.journal.add([mark])
        written = await world.old.write(upsert("d0", "written meanwhile"))
        await world.new.put(written.changes)

    async def settle_at_last() -> None:
        left.extend(await settle(sides, [mark], exclusive=True))

    world.new.between = write_both  # type: ignore[attr-defined]
    settling = Once("clear_alone", "after", settle_at_last)
    await backfill(world, source=Watched(world.old, settling.told))
    assert left == [mark]
    assert await document_content(world.new) == await document_content(world.old)


async def _nothing() -> None:
    pass

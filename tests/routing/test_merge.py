"""A merge of documents writes what a side lacks, and does not wait where it need not."""

from datetime import timedelta

import pytest

from chatstore.errors import BusyError
from chatstore.models import Mark, NewDocument, Side, UpsertDocuments, utc_now
from chatstore.routing import Sides, merge_documents
from chatstore.testing import MemoryDocuments
from chatstore.testing.samples import EAST


class Puts(MemoryDocuments):
    """Notes what is put; is busy with the documents that are named."""

    def __init__(self, side, *, atomic=True):
        super().__init__(side)
        self.atomic = atomic
        self.put_texts = []
        self.busy = set()

    async def put(self, changes):
        if self.busy.intersection(change.key.id for change in changes):
            raise BusyError("somebody writes it")
        self.put_texts += [change.document.text for change in changes]
        await super().put(changes)


@pytest.fixture
def sides():
    return Sides(Puts(Side.OLD), Puts(Side.NEW, atomic=False))


async def write(store, text, name="d", *, lease=0.0):
    until = utc_now() + timedelta(seconds=lease) if lease else None
    mark = Mark(key=name, user_id="u", side=store.side, op="upsert", lease_until=until)
    command = UpsertDocuments(user_id="u", documents=(NewDocument(text, id=name, embedding=EAST),))
    await store.write(command, [mark])
    return mark


async def texts(sides, name="d"):
    return [(await sides[side].get("u", name)).text for side in Side]


async def test_a_side_that_holds_as_much_is_not_written(sides):
    marks = [await write(sides.new, "draft")]
    await merge_documents(sides, marks)
    marks = [await write(sides.new, "final")]
    assert (await merge_documents(sides, marks)).cleared == tuple(marks)
    assert (sides.old.put_texts, sides.new.put_texts) == (["draft", "final"], [])
    assert await texts(sides) == ["final", "final"]


async def test_what_somebody_still_writes_is_left_out_and_all_else_is_merged(sides):
    marks = [await write(sides.new, "being written", lease=60), await write(sides.new, "older", name="e")]
    marks.append(await write(sides.new, "being written", name="f", lease=60))
    await write(sides.old, "newest")
    await write(sides.old, "newest", name="e")
    sides.new.busy = {"d"}
    merged = await merge_documents(sides, marks)
    assert await texts(sides) == ["newest", "being written"]
    assert await texts(sides, "e") == ["newest", "newest"]
    assert await texts(sides, "f") == ["being written", "being written"]
    assert {mark.key for mark in merged.left} == {"d", "f"}


async def test_what_the_marks_ask_for_comes_over_though_somebody_begins_to_write_meanwhile(sides):
    marks = [await write(sides.new, "older"), await write(sides.new, "only here", name="e")]
    await write(sides.old, "newest")
    sides.new.busy = {"d"}
    assert (await merge_documents(sides, marks)).cleared == ()
    assert await texts(sides, "e") == ["only here", "only here"]


@pytest.mark.parametrize("side", Side)
async def test_what_somebody_wrote_beside_keeps_its_mark_though_the_lease_ended_meanwhile(sides, monkeypatch, side):
    mark = await write(sides[side], "older", lease=60)
    await write(sides[side.other], "newest")
    changes = sides.new.changes

    async def late(keys):
        monkeypatch.setattr("chatstore.routing.merge.utc_now", lambda: utc_now() + timedelta(minutes=2))
        return await changes(keys)

    sides.new.changes = late
    assert (await merge_documents(sides, [mark])).cleared == ()
    assert mark in await sides[side].journal.marks_of("u")

"""The same on Redis and Chroma, where one write takes several requests."""

import pytest

from chatstore.errors import NotFoundError
from chatstore.migration import BackfillOptions, backfill_documents
from chatstore.models import (
    DeleteDocuments,
    Document,
    DocumentChange,
    Kind,
    Mark,
    NewDocument,
    Side,
    Stage,
    UpsertDocuments,
    utc_now,
)
from chatstore.redis import RedisProgress
from chatstore.redis.keys import JournalKeys
from chatstore.routing import document_repairer, merge_documents
from chatstore.testing.samples import EAST, NORTH
from tests.faults.apps import writer_at
from tests.faults.requests import MANY, Break, Operation, every_request
from tests.leases import let_leases_run_out

USER = "u"
_VERSION = 1_700_000_000_000_000


def name_of(number):
    return f"d{number}"


def held(number):
    """What is there of a trial's document before it."""
    about = {"created_at": utc_now(), "updated_at": utc_now(), "version": _VERSION}
    document = Document(id=name_of(number), user_id=USER, text="first", embedding=EAST, **about)
    return DocumentChange(key=document.key, document=document)


def upsert(text, *numbers):
    documents = tuple(NewDocument(text, id=name_of(number), embedding=NORTH) for number in numbers)
    return UpsertDocuments(user_id=USER, documents=documents)


WRITES = {
    "upsert": (lambda number: upsert("second", number), "second"),
    "delete": (lambda number: DeleteDocuments(user_id=USER, ids=(name_of(number),)), None),
}


async def both_hold_all(sides):
    for side in Side:
        await sides[side].put([held(number) for number in range(MANY)])


async def text_of(side, number):
    try:
        return (await side.get(USER, name_of(number))).text
    except NotFoundError:
        return None


async def check(sides, number, *allowed):
    """Both sides hold the same of a trial's document, and it is one of these."""
    old, new = [await text_of(sides[side], number) for side in Side]
    assert old == new, "the sides differ"
    assert old in allowed, f"lost, back or half: {old}"


async def repair(sides):
    """Repair, and again when all leases have run out."""
    repairer = document_repairer(sides)
    await repairer.run()
    await let_leases_run_out(sides)
    await repairer.run()
    assert (await sides.backlog()).marks == 0, "marks are left"


@pytest.mark.parametrize("stage", [Stage.DUALWRITE, Stage.LIVE])
@pytest.mark.parametrize("name", WRITES)
async def test_a_write_is_never_lost(document_sides, name, stage):
    command, after = WRITES[name]
    write = await writer_at(stage, Kind.DOCUMENTS, document_sides, USER)
    await both_hold_all(document_sides)
    trials = await every_request(lambda number: write(command(number)))
    await repair(document_sides)
    for number, trial in enumerate(trials):
        await check(document_sides, number, *([after] if trial.acked else ["first", after]))
    failed = [trial for trial in trials if trial.how in {Break.NEVER_SENT, Break.REPLY_LOST}]
    assert any(trial.acked for trial in failed)


async def test_a_deletion_of_what_only_the_new_side_has_is_finished_by_a_repair(document_sides):
    """Chroma keeps the deletion and then removes the document: between the two it must not be seen for ever."""
    write = await writer_at(Stage.COMPLETE, Kind.DOCUMENTS, document_sides, USER)
    await document_sides.new.put([held(number) for number in range(MANY)])
    command, _ = WRITES["delete"]
    trials = await every_request(lambda number: write(command(number)), kinds=(Break.REPLY_LOST, Break.DIES_SENT))
    await repair(document_sides)
    for number, trial in enumerate(trials):
        [change] = (await document_sides.new.changes([held(number).key])).changes
        text = await text_of(document_sides.new, number)
        assert text == (change.document and change.document.text), "deleted and back"
        assert text in ([None] if trial.acked else [None, "first"]), f"lost, back or half: {text}"


async def test_a_merge_that_is_stopped_anywhere_is_finished_by_a_repair(document_sides):
    await both_hold_all(document_sides)
    marked = {number: [] for number in range(MANY)}
    # All at once, and before: a dead merge keeps writers waiting until its lease has run out.
    for side, text in ((Side.OLD, "second"), (Side.NEW, "third")):
        for number, of_number in marked.items():
            of_number.append(Mark(user_id=USER, key=name_of(number), side=side, op="upsert", while_open=True))
        await document_sides[side].write(upsert(text, *marked), [of_number[-1] for of_number in marked.values()])

    def merge(number):
        return Operation(merge_documents(document_sides, marked[number]))

    trials = await every_request(merge, kinds=(Break.REPLY_LOST, Break.DIES_SENT))
    await repair(document_sides)
    for number, _ in enumerate(trials):
        await check(document_sides, number, "third")


@pytest.mark.usefixtures("not_by_the_clock")
async def test_a_backfill_that_dies_anywhere_goes_on(document_sides, redis):
    """Each trial's documents are others: what the trials before it copied is not there any more to be copied."""
    progress = RedisProgress(redis, Kind.DOCUMENTS)

    async def copy():
        repairing, options = document_repairer(document_sides).run, BackfillOptions(batch=1)
        await backfill_documents(document_sides.old, document_sides.new, progress, repair=repairing, options=options)

    async def put_right(number):
        await redis.ask("DEL", JournalKeys(Kind.DOCUMENTS).lease)  # It ran out.
        await copy()
        await repair(document_sides)
        for place in (2 * number, 2 * number + 1):
            await check(document_sides, place, "first")

    async def given(number):
        if number:
            await put_right(number - 1)
        await redis.ask("FLUSHDB")
        await document_sides.old.put([held(2 * number), held(2 * number + 1)])

    trials = await every_request(lambda _: Operation(copy()), given, kinds=(Break.DIES_SENT,))
    await put_right(len(trials) - 1)

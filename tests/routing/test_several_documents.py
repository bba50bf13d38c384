"""Several documents in one call are routed as one is: caught up after a flip, repeated and compared."""

import pytest

from chatstore.models import NewDocument, Stage
from chatstore.routing import ShadowReader
from chatstore.testing.samples import EAST
from tests.routing.pair import document_pair, marks_of, neither_side_takes_puts


def text(name, said):
    return NewDocument(said, id=name, embedding=EAST)


def texts(documents):
    return [document.text for document in documents]


@pytest.mark.parametrize(("before", "after"), [(Stage.DUALWRITE, Stage.LIVE), (Stage.LIVE, Stage.DUALWRITE)])
async def test_after_a_flip_those_that_are_asked_for_are_merged_first_and_no_others(before, after):
    documents, flags = await document_pair(before)
    await documents.upsert("u", [text(name, "old") for name in "abc"])
    with neither_side_takes_puts(documents.sides):
        await documents.upsert("u", [text(name, "new") for name in "abc"])
    flags.set(after)
    assert texts(await documents.get_many("u", ["b", "nobody", "a"])) == ["new", "new"]
    assert await marks_of(documents.sides) == 1
    assert texts(await documents.get_many("u", ["c"])) == ["new"]


async def test_a_difference_of_one_of_them_is_reported_and_an_equal_answer_is_counted():
    found = []
    documents, _ = await document_pair(Stage.SHADOW)
    documents.shadow = documents._reads._shadow = ShadowReader(pause=0, on_mismatch=found.append)
    await documents.upsert("u", [text(name, "same") for name in "abc"])
    await documents.get_many("u", ["c", "a"])
    await documents.shadow.drain()
    assert (documents.shadow.counts.equal, found) == (1, [])
    await documents.sides.new.upsert("u", text("a", "by somebody who does not use the router"))
    await documents.get_many("u", ["c", "a"])
    await documents.get_many("u", ["c", "b"])
    await documents.shadow.drain()
    await documents.sides.new.delete("u", ["b"])
    await documents.get_many("u", ["b"])
    await documents.shadow.drain()
    assert sorted((one.operation, one.user_id, one.key, one.detail) for one in found) == [
        ("get_many", "u", "", "at place 1: document differs in text, updated_at"),
        ("get_many", "u", "b", "1 records on one side, 0 on the other"),
    ]


@pytest.mark.parametrize("stage", Stage)
async def test_they_come_from_the_side_that_serves(stage):
    documents, _ = await document_pair(stage)
    await documents.upsert("u", [text(name, "same") for name in "ab"])
    for side in (documents.sides.old, documents.sides.new):
        await side.upsert("u", text("b", f"of the {side.side} side"))
    serves = "old" if stage in {Stage.OFF, Stage.DUALWRITE, Stage.SHADOW} else "new"
    assert texts(await documents.get_many("u", ["b", "a"])) == [f"of the {serves} side", "same"]

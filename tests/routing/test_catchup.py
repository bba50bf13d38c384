"""What is marked on the side that is not authoritative: merged before a call, which never fails by it."""

import pytest

from chatstore.errors import UnavailableError
from chatstore.models import Mark, Side
from chatstore.routing.catchup import CatchUp
from chatstore.routing.merge import merge_chat
from tests.routing.pair import chat_pair


async def marked():
    chat, _ = await chat_pair()
    for user in ("u", "another"):
        await chat.sides.old.journal.add([Mark(key=user, user_id=user, side=Side.OLD, op="create")])
    return chat.sides


async def marks_of(sides):
    return {mark.key for mark in await sides.old.journal.marks(limit=9)}


async def test_a_defect_in_a_users_marks_is_logged_once_and_nobodys_call_fails(caplog):
    sides = await marked()
    read = sides.old.journal.marks_of

    async def broken(user_id, keys):
        if user_id == "u":
            raise ValueError("garbage in the journal")
        return await read(user_id, keys)

    sides.old.journal.marks_of = broken
    catch_up = CatchUp(sides, merge_chat, keys=1)
    for user in ("u", "u", "another"):
        await catch_up.with_side(Side.OLD, user, None)
    assert await marks_of(sides) == {"u"}
    [told] = [record for record in caplog.records if "garbage" in record.message]
    assert told.exc_info[0] is ValueError


@pytest.mark.parametrize(
    ("error", "left"), [(ZeroDivisionError(), {"u"}), (UnavailableError("away"), {"u", "another"})]
)
async def test_a_merge_that_fails_keeps_others_from_being_merged_only_where_the_side_is_away(error, left):
    sides = await marked()

    async def merge(sides, marks):
        if marks[0].user_id == "u":
            raise error
        return await merge_chat(sides, marks)

    catch_up = CatchUp(sides, merge, keys=1)
    for user in ("u", "another"):
        await catch_up.with_side(Side.OLD, user, None)
    assert await marks_of(sides) == left

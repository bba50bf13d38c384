"""On a side without conditional writes no schedule, and no crash, leaves the sides different and unmarked."""

import warnings
from datetime import timedelta
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatstore.models import DeleteDocuments, Mark, NewDocument, Side, UpsertDocuments, utc_now
from chatstore.routing import Sides, merge_documents, settle
from chatstore.testing import MemoryDocuments
from chatstore.testing.samples import EAST
from tests.property.scheduler import Scheduler, run
from tests.property.two_step import SteppingJournal, TwoStepDocuments

USER, ID = "u", "d"


async def write(sides, command, first):
    """One write of a router at `dualwrite` (first old) or `live` (first new), inline."""
    now = utc_now()
    mark = Mark(key=ID, user_id=USER, side=first, op=command.op, at=now, lease_until=now + timedelta(hours=1))
    written = await sides[first].write(command, [mark])
    await sides[first.other].put(written.changes)
    await settle(sides, [mark], exclusive=True)


async def repair(sides):
    """What the repairer does, once the leases have run out."""
    for side in Side:
        if marks := await sides[side].journal.marks(limit=100):
            await merge_documents(sides, marks)


def command_of(number, deletes):
    if deletes:
        return DeleteDocuments(user_id=USER, ids=(ID,))
    return UpsertDocuments(user_id=USER, documents=(NewDocument(str(number), id=ID, embedding=EAST),))


def state_of(side):
    state = side._states.get(ID)
    return None if state is None or state.document is None else (state.document.version, state.document.text)


WRITERS = st.lists(st.tuples(st.sampled_from(Side), st.booleans()), min_size=1, max_size=4)
STEPS = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["step"] * 12 + ["kill"])), max_size=80)


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(writers=WRITERS, steps=STEPS, repairers=st.integers(0, 2))
def test_what_differs_is_marked_and_a_repair_makes_it_equal(writers, steps, repairers):
    warnings.simplefilter("ignore", RuntimeWarning)  # killed coroutines are never awaited to their end
    sides = Sides(MemoryDocuments(Side.OLD), TwoStepDocuments())
    sides.old.journal = SteppingJournal()
    run(write(sides, command_of("first", deletes=False), Side.OLD))
    scheduler = Scheduler()
    for number, (first, deletes) in enumerate(writers):
        scheduler.start(write(sides, command_of(number, deletes), first))
    for _ in range(repairers):
        scheduler.start(repair(sides))
    for index, action in steps:
        if scheduler.running:
            getattr(scheduler, action)(index)
    scheduler.finish()
    marked = any(side.journal._marks for side in (sides.old, sides.new))
    assert marked or state_of(sides.old) == state_of(sides.new)
    with patch("chatstore.routing.merge.utc_now", lambda: utc_now() + timedelta(days=1)):
        run(repair(sides))
    assert state_of(sides.old) == state_of(sides.new)
    assert not any(side.journal._marks for side in (sides.old, sides.new))

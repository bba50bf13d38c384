"""On a side without conditional writes no schedule, and no crash, leaves the sides different and unmarked, or loses a write."""

import warnings
from contextlib import suppress
from datetime import timedelta
from itertools import count
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatstore.errors import BusyError
from chatstore.models import DeleteDocuments, Mark, NewDocument, Side, Stage, UpsertDocuments, utc_now
from chatstore.routing import ROUTES, Sides, merge_documents, settle, withdraw
from chatstore.testing import MemoryDocuments
from chatstore.testing.samples import EAST
from tests.property.scheduler import Scheduler, run
from tests.property.two_step import SteppingJournal, TwoStepDocuments

USER, ID = "u", "d"


class Told:
    """When each write that had an effect began, when its caller was told, and which version it gave."""

    def __init__(self):
        self._ticks = count()
        self._writes = []

    async def write(self, sides, command, stage):
        """One write of a router, inline."""
        began = next(self._ticks)
        route = ROUTES[stage]
        mark = Mark(key=ID, user_id=USER, side=route.first, op=command.op, lease_until=utc_now() + timedelta(hours=1))
        try:
            written = await sides[route.first].write(command, [mark])
        except BusyError:
            return  # It was not written, and has no mark.
        for change in written.changes:
            version = change.document.version if change.document else change.deleted
            self._writes.append((began, next(self._ticks), version))
        if route.second is None:
            await withdraw(sides, [mark])
            return
        with suppress(BusyError):  # It stays marked.
            await sides[route.second].put(written.changes)
            await settle(sides, [mark], exclusive=True)

    def check(self, version):
        """No write that began after `version` was told was lost in its favour."""
        ended = next((ended for _, ended, given in self._writes if given == version), None)
        lost = [given for began, _, given in self._writes if ended is not None and began > ended]
        assert not lost, f"{version} is there, and {lost} came after it"


async def repair(sides):
    """What the repairer does, once the leases have run out."""
    for side in Side:
        if marks := await sides[side].journal.marks(limit=100):
            await merge_documents(sides, marks)


def command_of(number, deletes):
    if deletes:
        return DeleteDocuments(user_id=USER, ids=(ID,))
    return UpsertDocuments(user_id=USER, documents=(NewDocument(str(number), id=ID, embedding=EAST),))


def version_of(side):
    state = side._states.get(ID)
    return 0 if state is None else state.document.version if state.document else state.deleted


WRITERS = st.lists(st.tuples(st.sampled_from(Stage), st.booleans()), min_size=1, max_size=4)
STEPS = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["step"] * 12 + ["kill"])), max_size=80)


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(writers=WRITERS, steps=STEPS, repairers=st.integers(0, 2), pause=st.sampled_from([6, 60]))
def test_what_differs_is_marked_and_a_repair_makes_it_equal_and_keeps_every_write(writers, steps, repairers, pause):
    warnings.simplefilter("ignore", RuntimeWarning)  # killed coroutines are never awaited to their end
    sides = Sides(MemoryDocuments(Side.OLD), TwoStepDocuments())
    sides.old.journal = SteppingJournal()
    for side in Side:
        run(sides[side].journal.remember(journal_open=True))
    told = Told()
    run(told.write(sides, command_of("first", deletes=False), Stage.DUALWRITE))
    scheduler = Scheduler()
    for number, (stage, deletes) in enumerate(writers):
        scheduler.start(told.write(sides, command_of(number, deletes), stage))
    for _ in range(repairers):
        scheduler.start(repair(sides))
    for index, action in steps:
        if scheduler.running:
            getattr(scheduler, action)(index)

    def time_passes():
        # A writer who waits for the dead gives up first, or a join's lease ends before he looks at his clock.
        sides.new.late += timedelta(seconds=pause)

    scheduler.finish(stuck=time_passes)
    marked = any(side.journal._marks for side in (sides.old, sides.new))
    assert marked or version_of(sides.old) == version_of(sides.new)
    sides.new.late += timedelta(days=1)
    with patch("chatstore.routing.merge.utc_now", lambda: utc_now() + timedelta(days=1)):
        run(repair(sides))
    assert version_of(sides.old) == version_of(sides.new)
    assert not any(side.journal._marks for side in (sides.old, sides.new))
    told.check(version_of(sides.new))

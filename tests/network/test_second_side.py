"""A fault of the network before the second side: the app does not notice, nothing is forgotten, and all is made up for."""

import statistics
import time

import pytest

from chatstore.models import Stage
from tests.log import told
from tests.network.apps import SHORT, app, every_fault, first_of, user

CALLS = 25
ONE_SIDED = {Stage.DUALWRITE: Stage.OFF, Stage.LIVE: Stage.COMPLETE}
"""The stage that writes the same side first, and no other."""


@pytest.mark.parametrize(("kind", "stage", "fault"), every_fault("second"))
async def test_the_app_does_not_notice_and_the_backlog_drains_by_itself(servers, kind, stage, fault):
    async with app(kind, stage, servers) as made:
        first = first_of(stage)
        ann, ben = user(), user()
        made.flags.move(ben, ONE_SIDED[stage])
        key, plain = await made.open(ann), await made.open(ben)
        await made.write(ann, key, "before")
        await made.write(ben, plain, "before")
        await made.router.replicator.drain()
        made.repair_in_the_background()
        await made.break_by(first.other, fault)
        # In turns, so that whatever else this machine does slows both alike.
        both, alone = [], []
        for i in range(CALLS):
            both.append(await timed(made.write(ann, key, f"text {i}")))
            alone.append(await timed(made.write(ben, plain, f"text {i}")))
        assert statistics.median(both) < 3 * statistics.median(alone) + SHORT / 50
        # Who waits for the second side waits longer, and again and again; a busy machine holds a call up once in a while.
        assert third_slowest(both) < 3 * third_slowest(alone) + SHORT / 2
        assert len(await made.read(ann, key)) == 1 + CALLS
        await made.router.replicator.drain()
        counts = made.counts
        assert counts.left + counts.dropped > 0, "the fault did not reach the second side"
        assert counts.missed > 0
        assert await made.marks() > 0
        async with told(f"the {first.other} side has all writes again"):
            await made.mend(first.other)
        assert made.counts.missed == 0
        assert made.counts.recovered == 1
        read = [await made.read_from(side, ann, key) for side in (made.direct.old, made.direct.new)]
        assert read[0] == read[1]
        assert len(read[0]) == 1 + CALLS


async def timed(call):
    begun = time.perf_counter()
    await call
    return time.perf_counter() - begun


def third_slowest(seconds):
    return sorted(seconds)[-3]

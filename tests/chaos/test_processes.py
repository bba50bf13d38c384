"""Killed processes at differing stages, on real servers: nothing acknowledged is lost, doubled, or back from the dead."""

import asyncio
import os

import pytest

from chatstore.models import Stage
from tests.chaos.plan import BEFORE_VERIFIED
from tests.chaos.storm import Storm

KILLS = int(os.environ.get("CHATSTORE_KILLS", "50"))
LEAST = 5


@pytest.mark.timeout(300 + 3 * KILLS)
async def test_processes_that_are_killed_at_any_stage_lose_nothing(durable_stack, tmp_path, chaos_seed):
    storm = Storm(durable_stack, tmp_path, chaos_seed)
    storm.fill()
    with storm.fleet:
        await storm.start()
        async with storm.flipping("early", BEFORE_VERIFIED):
            await asyncio.gather(storm.kill("early", KILLS // 3), storm.migrate("first", 4))
        storm.set_stages(Stage.DUALWRITE)
        assert await storm.verify() == []
        async with storm.flipping("late", tuple(Stage)):
            await asyncio.gather(storm.kill("late", KILLS - KILLS // 3), storm.migrate("second", 2))
        await storm.finish()
    assert await storm.problems(LEAST) == []
    assert storm.fleet.kills >= KILLS

"""Killed servers under the load of killed processes: each that stores anything dies and comes back, and all is there."""

import asyncio

import pytest

from chatstore.models import Stage
from tests.chaos.plan import BEFORE_VERIFIED
from tests.chaos.storm import Storm

KILLS = 6
LEAST = 3


@pytest.mark.timeout(400)
async def test_servers_that_are_killed_under_load_lose_nothing(durable_stack, tmp_path, chaos_seed):
    storm = Storm(durable_stack, tmp_path, chaos_seed)
    storm.fill()
    with storm.fleet:
        await storm.start()
        async with storm.flipping("early", BEFORE_VERIFIED):
            await asyncio.gather(storm.kill_servers("early"), storm.kill("early", KILLS), storm.migrate("first", 1))
        storm.set_stages(Stage.DUALWRITE)
        assert await storm.verify() == []
        async with storm.flipping("late", tuple(Stage)):
            await asyncio.gather(storm.kill_servers("late"), storm.kill("late", KILLS), storm.migrate("second", 1))
        await storm.finish()
    assert await storm.problems(LEAST) == []

"""The conformance suite of progress records; its fixture is `progress`, an empty one."""

from __future__ import annotations

import asyncio

import pytest

from chatstore.errors import LeaseLostError
from chatstore.interfaces import Progress
from chatstore.models import Quarantined


class ProgressSuite:
    """What the migrator may rely on, of any `Progress`."""

    async def test_one_holder_at_a_time(self, progress: Progress) -> None:
        await progress.acquire("first", 60)
        await progress.acquire("first", 60)
        with pytest.raises(LeaseLostError, match="first"):
            await progress.acquire("second", 60)
        await progress.release("second")
        with pytest.raises(LeaseLostError):
            await progress.acquire("second", 60)
        await progress.release("first")
        await progress.acquire("second", 60)

    async def test_a_lease_runs_out(self, progress: Progress) -> None:
        await progress.acquire("dead", 0.1)
        await asyncio.sleep(0.25)
        await progress.acquire("next", 60)
        with pytest.raises(LeaseLostError):
            await progress.save_checkpoint("backfill", "x", "dead")

    async def test_the_checkpoint_moves_only_for_the_holder(self, progress: Progress) -> None:
        assert await progress.checkpoint("backfill") is None
        with pytest.raises(LeaseLostError):
            await progress.save_checkpoint("backfill", "1", "nobody")
        await progress.acquire("holder", 60)
        await progress.save_checkpoint("backfill", "1", "holder")
        await progress.save_checkpoint("verify", "9", "holder")
        with pytest.raises(LeaseLostError):
            await progress.save_checkpoint("backfill", "2", "stranger")
        assert await progress.checkpoint("backfill") == "1"
        await progress.save_checkpoint("backfill", None, "holder")
        assert await progress.checkpoint("backfill") is None
        assert await progress.checkpoint("verify") == "9"

    async def test_quarantine_keeps_records_by_key(self, progress: Progress) -> None:
        bad = Quarantined(key="k\x00é", reason="is broken", raw=b"\xff\x00raw", size=5)
        other = Quarantined(key="other", reason="too", raw=b"", size=0)
        await progress.quarantine([bad, other])
        await progress.quarantine([bad])
        assert await progress.count_quarantined() == 2
        assert {record.key: record async for record in progress.quarantined()} == {bad.key: bad, other.key: other}
        await progress.release_quarantined([other.key, "nobody"])
        assert [record async for record in progress.quarantined()] == [bad]

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

    async def test_it_is_told_who_holds_the_lease(self, progress: Progress) -> None:
        assert await progress.holder() is None
        await progress.acquire("first", 60)
        assert await progress.holder() == "first"
        await progress.release("first")
        assert await progress.holder() is None

    async def test_limits_are_kept_whoever_holds_the_lease(self, progress: Progress) -> None:
        assert await progress.limits() is None
        await progress.set_limits('{"rate": 500}')
        await progress.acquire("holder", 60)
        await progress.set_limits("é")
        await progress.release("holder")
        assert await progress.limits() == "é"
        await progress.set_limits(None)
        assert await progress.limits() is None

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

    async def test_what_a_run_tells_of_itself_is_kept_until_it_runs_out(self, progress: Progress) -> None:
        assert await progress.report("verify") is None
        await progress.save_report("verify", '{"é": 1}', holder=None, seconds=60)
        await progress.save_report("other", "x", holder=None, seconds=0.1)
        assert await progress.report("verify") == '{"é": 1}'
        await asyncio.sleep(0.25)
        assert await progress.report("other") is None
        await progress.save_report("verify", "later", holder=None, seconds=60)
        assert await progress.report("verify") == "later"
        await progress.save_report("verify", None, holder=None, seconds=60)
        assert await progress.report("verify") is None

    async def test_what_a_run_with_a_lease_tells_is_kept_only_for_the_holder(self, progress: Progress) -> None:
        await progress.acquire("holder", 60)
        await progress.save_report("backfill", "1", holder="holder", seconds=60)
        for told in ("2", None):
            with pytest.raises(LeaseLostError, match="stranger"):
                await progress.save_report("backfill", told, holder="stranger", seconds=60)
        assert await progress.report("backfill") == "1"

    async def test_quarantine_keeps_records_by_key(self, progress: Progress) -> None:
        bad = Quarantined(key="k\x00é", reason="is broken", raw=b"\xff\x00raw", size=5)
        other = Quarantined(key="other", reason="too", raw=b"", size=0)
        await progress.quarantine([bad, other])
        await progress.quarantine([bad])
        assert await progress.count_quarantined() == 2
        assert {record.key: record async for record in progress.quarantined()} == {bad.key: bad, other.key: other}
        await progress.release_quarantined([other.key, "nobody"])
        assert [record async for record in progress.quarantined()] == [bad]

"""The text that a run goes on from."""

from datetime import UTC, datetime

import pytest

from chatstore.migration.checkpoint import Checkpoint, reached, run_name
from chatstore.migration.reports import Tally
from chatstore.models import Side
from chatstore.testing import MemoryProgress


def test_a_checkpoint_comes_back_as_it_was() -> None:
    checkpoint = Checkpoint(
        cursor='"é"\n',
        started_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        copied=Tally(messages=7),
        quarantined=2,
    )
    assert Checkpoint.decode(checkpoint.encode()) == checkpoint


@pytest.mark.parametrize("text", ["", "17", "{}", '{"cursor": "a", "started_at": 1, "copied": {}, "quarantined": 0}'])
async def test_a_text_that_is_no_checkpoint_starts_a_run_over(text: str) -> None:
    with pytest.raises(ValueError):
        Checkpoint.decode(text)
    progress = MemoryProgress()
    await progress.acquire("me", 60)
    await progress.save_checkpoint(run_name(Side.OLD), text, "me")
    assert await reached(progress, Side.OLD) is None

"""The text that a run goes on from."""

from datetime import UTC, datetime

import pytest

from chatstore.migration.checkpoint import Checkpoint, Tallied, reached, run_name
from chatstore.migration.reports import Tally
from chatstore.models import Side
from chatstore.testing import MemoryProgress

_OLD = '{"cursor": "a", "started_at": "2026-01-01T00:00:00+00:00", "copied": {}, "quarantined": 0}'


def test_a_checkpoint_comes_back_as_it_was() -> None:
    checkpoint = Checkpoint(
        space="hash b'session:'",
        places={"": '"é"\n', "part:7": None},
        started_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        copied=Tally(messages=7),
        quarantined=2,
    )
    assert Checkpoint.decode(checkpoint.encode()) == checkpoint


@pytest.mark.parametrize(
    "text", ["", "17", "{}", '{"places": {}, "started_at": 1, "copied": {}, "quarantined": 0}', _OLD]
)
async def test_a_text_that_is_no_checkpoint_starts_a_run_over(text: str) -> None:
    with pytest.raises(ValueError):
        Checkpoint.decode(text)
    progress = MemoryProgress()
    await progress.acquire("me", 60)
    await progress.save_checkpoint(run_name(Side.OLD), text, "me")
    assert await reached(progress, Side.OLD) is None


def test_a_walk_that_ended_is_not_made_again_and_one_that_did_not_goes_on() -> None:
    checkpoint = Checkpoint(started_at=datetime(2026, 1, 2, tzinfo=UTC), places={"a:0": "a:5", "b:0": None})
    assert checkpoint.fits(["a:0", "b:0", "c:0"])
    assert checkpoint.left(["a:0", "b:0", "c:0"]) == {"a:0": "a:5", "c:0": "c:0"}
    assert checkpoint.moved("a:0", None, Tallied()).left(["a:0", "b:0"]) == {}


def test_a_checkpoint_of_other_servers_does_not_fit() -> None:
    checkpoint = Checkpoint(started_at=datetime(2026, 1, 2, tzinfo=UTC), places={"a:0": "a:5"})
    assert not checkpoint.fits([None])
    assert not checkpoint.fits(["b:0", "c:0"])
    assert Checkpoint(started_at=checkpoint.started_at).left([None]) == {"": None}

"""The ledger survives a kill, and tells what nobody answered from what was refused."""

import math

import pytest

from chatstore.errors import NotFoundError, UnavailableError
from demo.ledger import Effect, LedgerWriter, Outcome, StaleReadError, What, read_ledger

EFFECT = Effect(what=What.MESSAGE, id="m1", value="hello", session_id="s1")


def test_an_answered_call_is_acknowledged_with_its_effects(tmp_path):
    with LedgerWriter(tmp_path / "ledger") as ledger, ledger.call("append", "u1", "phone", [EFFECT]):
        pass
    (call,), _ = read_ledger(tmp_path / "ledger")
    assert (call.name, call.user_id, call.writer, call.outcome) == ("append", "u1", "phone", Outcome.ACKNOWLEDGED)
    assert call.effects == (EFFECT,)
    assert call.began <= call.ended < math.inf


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (NotFoundError("gone"), Outcome.FAILED),
        (UnavailableError("no answer"), Outcome.UNKNOWN),
        (StaleReadError("old news"), Outcome.STALE),
    ],
)
def test_a_call_that_raises_is_written_down_by_what_it_means(tmp_path, error, outcome):
    with (
        LedgerWriter(tmp_path / "ledger") as ledger,
        pytest.raises(type(error)),
        ledger.call("append", "u1", "phone", [EFFECT]),
    ):
        raise error
    (call,), _ = read_ledger(tmp_path / "ledger")
    assert call.outcome is outcome
    assert str(error) in call.detail


def test_a_call_without_an_end_is_one_that_nobody_answered(tmp_path):
    ledger = LedgerWriter(tmp_path / "ledger")
    with ledger, ledger.call("append", "u1", "phone", [EFFECT]):
        # Read in the middle, as a kill would have left it; with half a line behind it.
        killed = tmp_path / "killed"
        killed.write_text((tmp_path / "ledger").read_text() + '{"end": 0, "ou')
    (call,), _ = read_ledger(killed)
    assert call.outcome is Outcome.UNKNOWN
    assert call.ended == math.inf


def test_counts_are_kept_in_order(tmp_path):
    with LedgerWriter(tmp_path / "ledger") as ledger:
        ledger.counts(compared=1, mismatched=0)
        ledger.counts(compared=5, mismatched=2)
    _, counts = read_ledger(tmp_path / "ledger")
    assert [(count.compared, count.mismatched) for count in counts] == [(1, 0), (5, 2)]

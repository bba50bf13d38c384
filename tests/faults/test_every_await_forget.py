"""Forgetting a user: interrupted wherever it may be and called again, it leaves nothing of the user, and all of others."""

import pytest

from chatstore.models import Side
from tests.faults import forgetting
from tests.faults.chat_bench import ChatBench
from tests.faults.document_bench import DocumentBench
from tests.faults.every_await import disturbed, every_await
from tests.faults.fault import Fault

# What is not here is less than what is: a request that fails, than one that arrives late besides.
FAULTS = [Fault.TIMES_OUT, Fault.CANCELLED, Fault.DIES, Fault.DIES_LATE]

KINDS = pytest.mark.parametrize(
    ("operation", "bench_of"),
    [(forgetting.CHAT, ChatBench), (forgetting.DOCUMENTS, DocumentBench)],
    ids=["chat", "documents"],
)


@pytest.fixture(autouse=True)
def in_order(monkeypatch):
    """A repair takes keys in an order of its own; here it must be the same in all runs."""
    monkeypatch.setattr("chatstore.routing.repair.random.shuffle", lambda _keys: None)


def of(bench, user, *, but="nothing"):
    """Return what the sides hold of a user, but for what another process wrote beside."""
    held = [(name, what) for side in Side for name, what in bench.contents(side).items()]
    return [name for name, (owner, about, *_) in held if owner == user and not about.startswith(but)]


@KINDS
@pytest.mark.parametrize("fault", FAULTS)
def test_interrupted_anywhere_and_called_again_it_is_finished(operation, bench_of, fault):
    tally = every_await(operation, fault, bench_of)
    assert tally.runs > 10
    # What it comes to, for `every_await` compares with this.
    with_all = bench_of()
    try:
        operation.given(with_all)
        assert of(with_all, "u")
        theirs = of(with_all, "v")
        with_all.whole(operation.call(with_all))
        assert of(with_all, "u") == []
        assert of(with_all, "v") == theirs
    finally:
        with_all.end()


@KINDS
def test_another_process_may_write_at_any_point_and_what_was_there_before_is_gone_all_the_same(operation, bench_of):
    runs = 0

    def judge(bench, outcome, _usual):
        nonlocal runs
        runs += 1
        assert outcome.acked, outcome.answer
        gone_when_it_returned = of(bench, "u", but="beside")
        assert gone_when_it_returned == []
        bench.recover(None)
        bench.check()
        assert of(bench, "u", but="beside") == []
        assert len(of(bench, "v")) == 2, "another user's is gone"

    disturbed(operation, Fault.BESIDE, bench_of, judge)
    assert runs > 100

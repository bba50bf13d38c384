"""A client that goes away in the middle of a write cancels its waiting, and no part of the write."""

import pytest

from tests.faults import chat_operations
from tests.faults.chat_bench import ChatBench
from tests.faults.every_await import disturbed
from tests.faults.fault import Fault


@pytest.mark.parametrize("operation", chat_operations.WRITES + chat_operations.BEHIND, ids=str)
def test_a_cancelled_write_leaves_no_half(operation):
    """Also before anybody repairs anything: it is done on all sides that its stage writes, or was never begun."""
    finished = []

    def judge(bench, outcome, usual):
        assert not outcome.acked
        assert usual.given != usual.ended
        while bench.late:
            bench.arrive(0)
        assert bench.picture() in (usual.given, usual.ended)
        finished.append(bench.picture() == usual.ended)

    disturbed(operation, Fault.CANCELLED, ChatBench, judge)
    assert any(finished)

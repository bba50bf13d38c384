"""A client that goes away in the middle of a write cancels its waiting, and no part of the write."""

import pytest

from tests.faults import chat_operations, document_operations
from tests.faults.chat_bench import ChatBench
from tests.faults.document_bench import DocumentBench
from tests.faults.every_await import disturbed
from tests.faults.fault import Fault

CHATS = chat_operations.WRITES + chat_operations.BEHIND
DOCUMENTS = document_operations.WRITES + document_operations.BEHIND


def check_no_half(operation, bench_of):
    """Before anybody repairs anything: it is done on all sides that its stage writes, or was never begun."""
    finished = []

    def judge(bench, outcome, usual):
        assert not outcome.acked
        assert usual.given != usual.ended
        while bench.late:
            bench.arrive(0)
        assert bench.picture() in (usual.given, usual.ended), f"half: {bench.picture()}"
        finished.append(bench.picture() == usual.ended)

    disturbed(operation, Fault.CANCELLED, bench_of, judge)
    assert any(finished)


@pytest.mark.parametrize("operation", CHATS, ids=str)
def test_a_cancelled_write_leaves_no_half(operation):
    check_no_half(operation, ChatBench)


@pytest.mark.parametrize("operation", DOCUMENTS, ids=str)
def test_a_cancelled_write_of_documents_leaves_no_half(operation):
    check_no_half(operation, DocumentBench)

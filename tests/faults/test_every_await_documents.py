"""Documents: the same as of chats, with a new side that compares and writes in two steps."""

import pytest

from tests.faults import document_operations as table
from tests.faults.document_bench import DocumentBench
from tests.faults.every_await import every_await
from tests.faults.fault import FAULTS, Fault


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", table.WRITES + table.BEHIND, ids=str)
def test_a_write_is_never_lost(operation, fault):
    every_await(operation, fault, DocumentBench)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", table.BEHIND_THE_APP + table.FLIPS + table.BACKFILLS, ids=str)
def test_what_is_interrupted_is_finished_later(operation, fault):
    every_await(operation, fault, DocumentBench)


@pytest.mark.parametrize("operation", [table.REPAIR, *table.BACKFILLS], ids=str)
def test_another_process_may_write_at_any_point(operation):
    every_await(operation, Fault.BESIDE, DocumentBench)

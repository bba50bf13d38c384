"""Sessions and messages: whatever goes wrong, wherever, all that was acknowledged is on both sides in the end.

Each operation is run once for every point at which it waits for a server, with each kind of fault there. Then a new
process repairs (and goes on with a backfill that did not end). Nothing acknowledged is lost, nothing deleted is back,
nothing is doubled, out of order or another user's; both sides are equal, and no mark is left.
"""

import pytest

from tests.faults import chat_operations as table
from tests.faults.chat_bench import ChatBench
from tests.faults.every_await import every_await
from tests.faults.fault import FAULTS, Fault


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", table.WRITES + table.BEHIND, ids=str)
def test_a_write_is_never_lost(operation, fault):
    every_await(operation, fault, ChatBench)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", table.BEHIND_THE_APP + table.FLIPS + table.BACKFILLS, ids=str)
def test_what_is_interrupted_is_finished_later(operation, fault):
    every_await(operation, fault, ChatBench)


@pytest.mark.parametrize("operation", [table.REPAIR, *table.BACKFILLS], ids=str)
def test_another_process_may_write_at_any_point(operation):
    every_await(operation, Fault.BESIDE, ChatBench)

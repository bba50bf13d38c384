"""The suite finds seeded bugs: with each of them a part of it fails, and says of the data what is wrong."""

import re

import hypothesis
import pytest

from tests.faults.mutants.seeded import planted
from tests.faults.mutants.table import MUTANTS
from tests.property.test_router_machine import Machine, SteadyFlags, explore

ABOUT_DATA = "the sides differ|lost: |deleted and back|overwritten: |doubled: |.* stands before |a .* is (lost|back)"


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_faults_at_every_await_find_a_seeded_bug(mutant):
    mutant.found_by()
    with planted(mutant), pytest.raises(AssertionError) as found:
        mutant.found_by()
    assert re.match(mutant.verdict, str(found.value)), found.value


@pytest.fixture(scope="module")
def machine_flags():
    return [SteadyFlags() for _ in range(4)]


@pytest.fixture
def first_failure_only():
    """Hypothesis does not look for a smaller example: which one it is does not matter here."""
    before = hypothesis.settings.get_current_profile_name()
    hypothesis.settings.register_profile("first failure only", phases=[hypothesis.Phase.generate])
    hypothesis.settings.load_profile("first failure only")
    yield
    hypothesis.settings.load_profile(before)


@pytest.mark.parametrize("mutant", [mutant for mutant in MUTANTS if mutant.drawn], ids=str)
def test_drawn_schedules_find_a_seeded_bug(mutant, machine_flags, first_failure_only):
    """Without it they find nothing: `tests/property/test_router_machine.py` draws the same ones, and more."""
    with planted(mutant), pytest.raises(AssertionError) as found:
        explore(Machine, machine_flags, schedules=500)
    assert re.match(ABOUT_DATA, str(found.value)), found.value

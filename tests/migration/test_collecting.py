"""The garbage collector during runs."""

import gc

from chatstore.migration.collecting import collecting_seldom


def test_the_collector_is_as_it_was_when_the_last_of_several_runs_has_ended() -> None:
    before = gc.get_threshold()
    one, other = collecting_seldom(), collecting_seldom()
    one.__enter__()
    other.__enter__()
    assert gc.get_threshold()[0] > before[0]
    one.__exit__(None, None, None)
    assert gc.get_threshold()[0] > before[0]
    other.__exit__(None, None, None)
    assert gc.get_threshold() == before


def test_a_collector_that_the_app_has_switched_off_stays_off() -> None:
    before = gc.get_threshold()
    gc.set_threshold(0)
    try:
        with collecting_seldom():
            assert gc.get_threshold()[0] == 0
        assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)

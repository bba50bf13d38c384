"""The demo's verdict must be able to fail: each kind of damage, done to a good reading, is reported as what it is."""

import math
from dataclasses import replace

import pytest

from demo.check import BEFORE, Seen, judge
from demo.ledger import Call, Effect, Outcome, What

SESSION = Effect(what=What.SESSION, id="s1", value="tea")
DOCUMENT = Effect(what=What.DOCUMENT, id="d1", value="digest")


def message(name, content):
    return Effect(what=What.MESSAGE, id=name, value=content, session_id="s1")


def call(began, *effects, outcome=Outcome.ACKNOWLEDGED, ended=None, writer="u1"):
    ended = began + 1 if ended is None else ended
    return Call(name="any", user_id="u1", writer=writer, began=began, ended=ended, outcome=outcome, effects=effects)


CALLS = [
    call(1, SESSION),
    call(3, message("m1", "hello")),
    call(5, message("m2", "hi")),
    call(7, message("m1", "hello!")),
    call(9, message("m3", "bye")),
    call(11, message("m3", None)),
    call(13, DOCUMENT),
    call(15),
]

GOOD = [
    Seen(what=What.SESSION, id="s1", value="tea", user_id="u1"),
    Seen(what=What.MESSAGE, id="m1", value="hello!", session_id="s1", user_id="u1"),
    Seen(what=What.MESSAGE, id="m2", value="hi", session_id="s1", user_id="u1"),
    Seen(what=What.DOCUMENT, id="d1", value="digest", user_id="u1"),
]


def verdict_on(seen, calls=CALLS, **options):
    return judge("a side", calls, seen, **options)


def problems(verdict):
    """How many problems of each kind there are, leaving out the kinds that have none."""
    kinds = ("missing", "doubled", "undead", "disordered", "foreign")
    return {kind: len(getattr(verdict, kind)) for kind in kinds if getattr(verdict, kind)}


def test_what_was_acknowledged_and_is_there_is_no_problem():
    verdict = verdict_on(GOOD)
    assert problems(verdict) == {}
    assert verdict.acknowledged == 7
    assert verdict.records == 4


@pytest.mark.parametrize("lost", range(4))
def test_any_lost_record_is_missing(lost):
    assert problems(verdict_on(GOOD[:lost] + GOOD[lost + 1 :])) == {"missing": 1}


def test_a_lost_edit_is_missing():
    stale = [replace(item, value="hello") if item.id == "m1" else item for item in GOOD]
    assert problems(verdict_on(stale)) == {"missing": 1}


def test_a_lost_rename_is_missing():
    assert problems(verdict_on(GOOD, [*CALLS, call(20, replace(SESSION, value="coffee"))])) == {"missing": 1}


def test_a_record_that_is_there_twice_is_doubled():
    assert problems(verdict_on([*GOOD, GOOD[2]])) == {"doubled": 1}


def test_a_deleted_message_that_is_there_is_back_from_the_dead():
    undead = Seen(what=What.MESSAGE, id="m3", value="bye", session_id="s1", user_id="u1")
    assert problems(verdict_on([*GOOD, undead])) == {"undead": 1}


def test_whatever_is_there_of_a_deleted_session_is_back_from_the_dead():
    calls = [*CALLS, call(20, replace(SESSION, value=None))]
    assert problems(verdict_on(GOOD, calls)) == {"undead": 3}
    assert problems(verdict_on(GOOD[3:], calls)) == {}


def test_a_message_behind_a_later_one_is_out_of_order():
    session, first, second, document = GOOD
    assert problems(verdict_on([session, second, first, document])) == {"disordered": 1}


def test_two_writers_at_once_have_no_order_between_them():
    calls = [
        call(1, SESSION),
        call(3, message("m1", "a"), writer="phone"),
        call(4, message("m2", "b"), writer="laptop"),
    ]
    seen = [
        Seen(what=What.MESSAGE, id=name, value=value, session_id="s1") for name, value in (("m2", "b"), ("m1", "a"))
    ]
    assert problems(verdict_on([GOOD[0], *seen], calls)) == {}


def test_what_was_there_before_comes_first_whoever_wrote_behind_it():
    calls = [call(0, SESSION, message("m1", "a"), ended=0, writer=BEFORE), call(3, message("m2", "b"), writer="phone")]
    seen = [
        Seen(what=What.MESSAGE, id=name, value=value, session_id="s1") for name, value in (("m2", "b"), ("m1", "a"))
    ]
    assert problems(verdict_on([GOOD[0], *seen], calls)) == {"disordered": 1}
    assert verdict_on(GOOD, calls).before == 2


def test_a_record_under_another_user_is_foreign():
    assert problems(verdict_on([*GOOD[:3], replace(GOOD[3], user_id="u2")])) == {"foreign": 1}


def test_a_record_that_nobody_wrote_is_foreign():
    assert problems(verdict_on([*GOOD, Seen(what=What.SESSION, id="s9", value="", user_id="u1")])) == {"foreign": 1}


@pytest.mark.parametrize("there", [True, False])
def test_a_call_that_nobody_answered_may_have_happened_or_not(there):
    calls = [*CALLS, call(20, message("m4", "?"), outcome=Outcome.UNKNOWN, ended=math.inf)]
    late = [Seen(what=What.MESSAGE, id="m4", value="?", session_id="s1", user_id="u1")] if there else []
    assert problems(verdict_on([*GOOD, *late], calls)) == {}


def test_a_call_that_nobody_answered_must_not_happen_twice():
    calls = [*CALLS, call(20, message("m4", "?"), outcome=Outcome.UNKNOWN, ended=math.inf)]
    twice = [Seen(what=What.MESSAGE, id="m4", value="?", session_id="s1", user_id="u1")] * 2
    assert problems(verdict_on([*GOOD, *twice], calls)) == {"doubled": 1}


def test_a_refused_call_must_not_have_happened():
    calls = [*CALLS, call(20, message("m4", "?"), outcome=Outcome.FAILED)]
    there = Seen(what=What.MESSAGE, id="m4", value="?", session_id="s1", user_id="u1")
    assert problems(verdict_on([*GOOD, there], calls)) == {"foreign": 1}


def test_a_side_that_was_left_is_held_against_what_came_before():
    verdict = verdict_on([GOOD[0], replace(GOOD[1], value="hello")], until=5)
    assert problems(verdict) == {}
    assert verdict.acknowledged == 2
    assert problems(verdict_on([GOOD[0]], until=5)) == {"missing": 1}


def test_only_the_records_that_a_side_is_for_are_judged():
    assert problems(verdict_on(GOOD[3:], whats=frozenset({What.DOCUMENT}))) == {}

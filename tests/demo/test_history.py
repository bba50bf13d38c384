"""What the checker holds true where many write at once: lives of sessions, clearing, popping, and what is undecided."""

import math
from dataclasses import replace

import pytest

from demo.check import BEFORE, Seen, judge, too_little
from demo.ledger import ALL, ONE, Call, Effect, LedgerWriter, Outcome, What, read_ledger

UNKNOWN = Outcome.UNKNOWN


def message(name, content="text"):
    return Effect(what=What.MESSAGE, id=name, value=content, session_id="s")


def session(title, *, begins=False):
    return Effect(what=What.SESSION, id="s", value=title, begins=begins)


def document(value):
    return Effect(what=What.DOCUMENT, id="d", value=value)


def call(began, *effects, outcome=Outcome.ACKNOWLEDGED, lasts=1, writer="w", name="any", side=""):
    ended = math.inf if outcome is UNKNOWN else began + lasts
    return Call(
        name=name,
        user_id="u",
        writer=writer,
        began=began,
        ended=ended,
        outcome=outcome,
        effects=effects,
        side=side,
    )


CREATED, APPENDED = call(1, session("one")), call(3, message("m"))
DELETED, AGAIN = call(10, session(None)), call(20, session("two", begins=True))
CLEARED = call(10, message(ALL, None))


def kinds(calls, *there, titles=("one",)):
    """The kinds of problem that a side has which holds the session, under one of these titles, and these messages."""
    seen = [Seen(what=What.SESSION, id="s", value=title, user_id="u") for title in titles]
    seen += [Seen(what=What.MESSAGE, id=name, value="text", session_id="s", user_id="u") for name in there]
    return kinds_of(calls, seen)


def kinds_of(calls, seen):
    verdict = judge("a side", calls, seen)
    return {name for name in ("missing", "doubled", "undead", "disordered", "foreign") if getattr(verdict, name)}


def both(calls, **options):
    """What is wrong when the message is there, and when it is not."""
    return kinds(calls, "m", **options), kinds(calls, **options)


def test_what_was_cleared_away_is_gone():
    assert both([CREATED, APPENDED, CLEARED]) == ({"undead"}, set())


def test_what_was_written_after_a_clearing_is_there():
    assert both([CREATED, CLEARED, call(12, message("m"))]) == (set(), {"missing"})


def test_an_edit_after_a_clearing_saves_the_message():
    assert both([CREATED, APPENDED, CLEARED, call(12, message("m"))]) == (set(), {"missing"})


@pytest.mark.parametrize("clearing", [call(3, message(ALL, None)), call(10, message(ALL, None), outcome=UNKNOWN)])
def test_a_clearing_beside_an_append_or_without_an_answer_may_have_taken_it(clearing):
    assert both([CREATED, APPENDED, clearing]) == (set(), set())


def test_what_ended_in_an_error_may_still_happen_later():
    clearing = replace(CLEARED, outcome=UNKNOWN)
    assert clearing.ended < 12
    assert both([CREATED, clearing, call(12, message("m"))]) == (set(), set())


def test_what_a_replacement_brings_is_there_and_what_it_replaces_is_not():
    replaced = [CREATED, call(3, message("old")), call(10, message(ALL, None), message("m"))]
    assert both(replaced) == (set(), {"missing"})
    assert kinds(replaced, "old", "m") == {"undead"}


def test_a_pop_without_an_answer_may_have_taken_any_message_and_one_with_an_answer_did():
    guess = call(10, message(ONE, None), outcome=UNKNOWN, name="pop")
    assert both([CREATED, APPENDED, guess]) == (set(), set())
    assert both([CREATED, APPENDED, call(10, message("m", None), name="pop")]) == ({"undead"}, set())


def test_one_message_is_popped_once_on_a_side():
    pops = [call(at, message("m", None), name="pop", side=side) for at, side in ((10, "old"), (12, "new"))]
    assert kinds([CREATED, APPENDED, *pops]) == set()
    assert kinds([CREATED, APPENDED, *[replace(pop, side="") for pop in pops]]) == set()
    assert kinds([CREATED, APPENDED, *pops, call(14, message("m", None), name="pop", side="old")]) == {"doubled"}


def test_a_session_created_again_is_there_without_what_its_first_life_held():
    assert both([CREATED, APPENDED, DELETED, AGAIN], titles=["two"]) == ({"undead"}, set())
    assert kinds([CREATED, DELETED, AGAIN], titles=[]) == {"missing"}
    assert kinds([CREATED, DELETED, AGAIN], titles=["one"]) == {"missing"}


def test_a_rename_brings_no_session_back():
    calls = [CREATED, DELETED, call(20, session("two"))]
    assert kinds(calls, titles=["two"]) == {"undead"}
    assert kinds(calls, titles=[]) == set()


def test_who_created_the_session_again_wrote_to_its_new_life():
    assert both([CREATED, DELETED, AGAIN, call(30, message("m"))], titles=["two"]) == (set(), {"missing"})


def test_who_did_not_create_the_session_again_may_have_written_to_its_old_life():
    assert both([CREATED, DELETED, AGAIN, call(30, message("m"), writer="x")], titles=["two"]) == (set(), set())
    renamed = [CREATED, DELETED, AGAIN, call(30, session("three"), writer="x")]
    assert [kinds(renamed, titles=[title]) for title in ("two", "three")] == [set(), set()]


def test_who_created_a_life_that_is_over_may_not_have_known():
    third = [call(25, session(None), writer="x"), call(30, session("three", begins=True), writer="x")]
    calls = [CREATED, DELETED, AGAIN, *third, call(40, session("four"))]
    assert [kinds(calls, titles=[title]) for title in ("three", "four")] == [set(), set()]


@pytest.mark.parametrize("deletion", [call(10, session(None), outcome=UNKNOWN), call(19, session(None), lasts=5)])
def test_a_deletion_that_is_not_over_before_the_creation_may_come_after_it(deletion):
    calls = [CREATED, deletion, AGAIN]
    assert [kinds(calls, titles=titles) for titles in (["two"], [])] == [set(), set()]


def documents(calls, *values):
    return kinds_of(calls, [Seen(what=What.DOCUMENT, id="d", value=value, user_id="u") for value in values])


def test_a_document_written_after_its_deletion_is_there_and_one_deleted_after_its_writes_is_not():
    first, deletion, second = call(1, document("a")), call(10, document(None)), call(20, document("b"))
    assert documents([first, deletion, second], "b") == set()
    assert documents([first, deletion, second]) == {"missing"}
    assert documents([first, deletion, second], "a") == {"missing"}
    assert documents([first, deletion]) == set()
    assert documents([first, deletion], "a") == {"undead"}
    assert documents([first, deletion, call(20, document("b"), outcome=UNKNOWN)], "a") == {"missing"}


def test_of_writes_at_once_either_may_be_the_last():
    calls = [call(1, document("a"), lasts=5), call(3, document("b")), call(20, document("c"), outcome=UNKNOWN)]
    assert [documents(calls, value) for value in "abc"] == [set(), set(), set()]
    assert documents([*calls, call(30, document("d"))], "b") == {"missing"}


def test_a_run_that_acknowledged_too_little_means_nothing():
    calls = [call(1, name="edit"), call(2, name="edit", outcome=UNKNOWN), call(3, name="edit", writer=BEFORE)]
    assert too_little(calls, ["edit"], 1) == []
    assert too_little(calls, ["edit", "pop"], 2) == [
        "edit: 1 acknowledged, not 2",
        "pop: 0 acknowledged, not 2",
    ]


def test_a_call_may_say_afterwards_what_it_did(tmp_path):
    with (
        LedgerWriter(tmp_path / "ledger") as ledger,
        ledger.call("pop", "u", "w", [message(ONE, None)], side="old") as made,
    ):
        made.effects = [message("m", None)]
    (popped,), _ = read_ledger(tmp_path / "ledger")
    assert (popped.effects, popped.side) == ((message("m", None),), "old")

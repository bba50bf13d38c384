"""An operation, once for every point between its process and the servers, with one kind of fault there."""

import logging
from contextlib import contextmanager
from dataclasses import dataclass

from tests.faults.fault import Fault


@dataclass
class Tally:
    """What came of all runs of one operation with one kind of fault."""

    runs: int = 0
    acked: int = 0


@dataclass
class Undisturbed:
    """The operation without a fault.

    Attributes:
        given: What both sides hold before, with the marks.
        ended: What they hold when it has ended, with the marks.
        before: What they hold in the end if it never happens.
        after: What they hold in the end if it does.
        points: The points that it comes to.
    """

    given: object
    ended: object
    before: object
    after: object
    points: list


def every_await(operation, fault, bench_of):
    """Run it for every point, have everything put right, and check what both sides hold then."""
    tally = Tally()

    def judge(bench, outcome, usual):
        tally.runs += 1
        tally.acked += outcome.acked
        if outcome.acked:
            bench.ledger.unmarked.clear()
        bench.recover(None if outcome.acked else operation.again)
        bench.check()
        certain = outcome.acked or operation.again is not None
        if fault is Fault.BESIDE:
            bench.check_beside()
        elif certain or operation.one_step:
            allowed = [usual.after] if certain else [usual.before, usual.after]
            assert bench.contents_of_both() in allowed, f"lost, back or half: {bench.contents_of_both()}"

    disturbed(operation, fault, bench_of, judge)
    assert tally.runs, "it came to no point where this can happen"
    return tally


def disturbed(operation, fault, bench_of, judge):
    """Run it for every point; `judge` each with its outcome, when nobody has repaired anything yet."""
    with quiet():
        usual = undisturbed(operation, bench_of)
        for beside in operation.beside if fault is Fault.BESIDE else (None,):
            for at, point in enumerate(usual.points):
                if not fault.can_be(point):
                    continue
                with opened(operation, bench_of) as bench, noted(f"{fault} at {at} ({point.name}) of {operation}"):
                    outcome = bench.drive(operation.call(bench), at, fault, beside)
                    assert outcome.hit, "it went another way than it did without a fault"
                    judge(bench, outcome, usual)


def undisturbed(operation, bench_of):
    with opened(operation, bench_of) as bench:
        given = bench.picture()
        bench.recover(operation.again)
        before = bench.contents_of_both()
    with opened(operation, bench_of) as bench:
        outcome = bench.drive(operation.call(bench))
        assert outcome.acked, f"nothing was in the way, and yet: {outcome.answer!r}"
        assert operation.answer in (None, outcome.answer), f"not its own writes: {outcome.answer}"
        ended = bench.picture()
        bench.ledger.unmarked.clear()
        bench.recover(None)
        bench.check()
        after = bench.contents_of_both()
    assert len(outcome.points) >= operation.points, f"it does not do what it is named for: {outcome.points}"
    return Undisturbed(given, ended, before, after, outcome.points)


@contextmanager
def opened(operation, bench_of):
    bench = bench_of(inline=operation.inline)
    try:
        operation.given(bench)
        yield bench
    finally:
        bench.end()


@contextmanager
def noted(where):
    try:
        yield
    except AssertionError as error:
        error.add_note(where)
        raise


@contextmanager
def quiet():
    """Without the log's thousands of refusals and servers that are away."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)

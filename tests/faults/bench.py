"""Runs one operation with one fault, has a new process put everything right, and looks at what both sides hold then."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from unittest.mock import patch

from chatstore.errors import ChatStoreError
from chatstore.models import Side, Stage, utc_now
from tests.faults.wire import Wired
from tests.flags import Flags
from tests.property.scheduler import run
from tests.property.world import FrozenLoop, Op, World

_LONG = 300


class CallerLeftError(Exception):
    """The call was cancelled."""


@dataclass(frozen=True)
class Operation:
    """What is run at every point with every fault.

    Attributes:
        name: Of the test.
        given: Makes what is there before, without faults.
        call: The operation itself.
        again: What has to be run to its end when the operation did not get there; None for what an app does: whether
            a write is made again is for the app to say.
        beside: What another process may do meanwhile.
        inline: Whether the second side is written before the app has its answer.
        one_step: Whether it happens as a whole or not at all.
        answer: What its caller must be told when nothing is in the way; anything when None.
        points: At least so many points must be met, or the operation did not do what it is named for.
    """

    name: str
    given: Callable
    call: Callable
    again: Callable | None = None
    beside: tuple = ()
    inline: bool = True
    one_step: bool = True
    answer: object = None
    points: int = 2

    def __str__(self):
        return self.name


@dataclass(frozen=True)
class Point:
    """Where an operation waits for a server.

    Attributes:
        name: Which request, or the reply to which.
        changes: Whether it is a request that changes something there.
        called: Whether the caller still waits for the operation.
    """

    name: str
    changes: bool
    called: bool


@dataclass
class Outcome:
    """How the operation went.

    Attributes:
        points: The points that it came to, in their order.
        hit: Whether the fault happened.
        acked: Whether its caller was told that it is done.
        answer: What the caller was told.
    """

    points: list = field(default_factory=list)
    hit: bool = False
    acked: bool = False
    answer: object = None


class Bench(World):
    """A world with one process at a time; which kind of stores it has is said by `ChatBench` and `DocumentBench`."""

    flags = None

    def __init__(self, *, inline=True):
        super().__init__()
        self.inline = inline
        self.patches = ExitStack()
        self.later = timedelta(0)
        self.process = None
        Bench.flags = Bench.flags or Flags()
        self.at(Stage.DUALWRITE)

    def new_process(self):
        return Wired(self, self.flags)

    # What is there before

    def at(self, stage):
        self.flags._stage = stage

    def remember(self, **fields):
        for side in Side:
            run(self.stores[side].journal.remember(**fields))

    def nobody(self):
        """The caller of what the test itself does."""
        return Op(None, None, self.ledger.tick(), 0, None)

    # Running

    def whole(self, coroutine):
        """Run a call to its end, without a fault."""
        outcome = self.drive(coroutine)
        assert outcome.acked, f"nothing was in the way, and yet: {outcome.answer!r}"
        return outcome.answer

    def drive(self, coroutine, at=None, fault=None, beside=None):
        """Run a call, and what it leaves to do in the background, with a fault at its point number `at`, from 0."""
        outcome = Outcome()

        async def told():
            try:
                outcome.answer = await coroutine
            except asyncio.CancelledError:
                if self.over:
                    raise
                raise CallerLeftError from None

        def done(op, error):
            outcome.acked = error is None
            if error is not None:
                outcome.answer = error
                if not isinstance(error, ChatStoreError | CallerLeftError):
                    raise error

        op = self.start(self.process, told(), done)
        waited = 0
        while self.gates or self.ops:
            if not self.gates:
                waited += 1
                assert waited < _LONG, "it never ends"
                self.pass_time(1.0)
                continue
            gate = self.gates[0]
            point = Point(getattr(gate.sent, "name", "a read"), has_effect(gate), op in self.ops)
            outcome.points.append(point)
            if len(outcome.points) - 1 == at and fault.can_be(point):
                outcome.hit = True
                fault.happen(self, op, gate, beside)
            else:
                self.release(gate)
            self.check_marks()
        return outcome

    def check_marks(self):
        """What the sides differ on is marked, but for what was there before the journals were opened."""
        unmarked = self.differing() - self.marked() - self.ledger.unmarked
        assert not unmarked, f"the sides differ, and no mark says so: {sorted(unmarked)}"

    def clock(self):
        """The clock by which leases end."""
        return utc_now() + self.later + timedelta(seconds=self.loop.now - FrozenLoop.now)

    def leases_run_out(self):
        self.later = timedelta(days=1)
        for module in ("merge", "repair"):
            self.patches.enter_context(patch(f"chatstore.routing.{module}.utc_now", self.clock))

    def recover(self, again):
        """A new process repairs; then what was still on the wire arrives; then leases run out, and it repairs again."""
        self.process = self.new_process()
        self.progress._lease = None
        if again is not None:
            self.whole(again(self))
            self.ledger.unmarked.clear()
        self.whole(self.process.repairer.run())
        while self.late:
            self.arrive(0)
            self.check_marks()
        self.leases_run_out()
        while before := self.marks():
            self.whole(self.process.repairer.run())
            assert self.marks() < before, "a repair leaves marks for ever"

    def marks(self):
        return sum(len(self.stores[side].journal._marks) for side in Side)

    def end(self):
        self.patches.close()
        super().end()

    # What both sides hold

    def picture(self):
        """All that an app could see on each side, and how many marks there are."""
        return (*self.contents_of_both(), self.marks())

    def contents_of_both(self):
        return (self.contents(Side.OLD), self.contents(Side.NEW))

    def check_equal(self):
        differing = self.differing()
        assert not differing, f"the sides differ in the end: {self.picture()}"
        assert not self.marked(), "marks are left"
        assert not self.progress._checkpoints, "a checkpoint is left behind a backfill that came to its end"


def has_effect(gate):
    return getattr(gate.sent, "effect", None) is not None

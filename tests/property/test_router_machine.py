"""Processes at any stages, crashes, lost replies, servers that go away, clocks that jump: nothing is lost or comes back.

A hypothesis state machine over three processes and a runner of repairs and backfills, on the same two stores in memory.
Each step of each call (a request to a server, a reply) waits until the schedule lets it go on, so calls interleave in
every way, within and between processes, with replication that goes on behind the app's back. What must hold in the end,
and what a process must read of its own writes, is said in `tests/property/ledger.py`. At every moment a session on which
the sides differ must be marked, or have been written while the journal was closed and not been backfilled since.

The schedules are the same at every run, so that a change is judged by them alone. `CHATSTORE_SEED=random` draws others;
the seed is printed, and `CHATSTORE_SEED=…` replays it.
"""

import logging
import os
import random

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from chatstore.errors import ConflictError, LeaseLostError, NotFoundError, UnavailableError
from chatstore.migration import BackfillOptions, backfill_chat
from chatstore.models import (
    AppendMessages,
    ClearMessages,
    CreateSession,
    DeleteMessages,
    DeleteSession,
    EditMessage,
    NewMessage,
    PopMessage,
    Side,
    Stage,
    UpdateSession,
    utc_now,
)
from chatstore.routing import Sides, chat_repairer
from chatstore.testing import MemoryChat, MemoryProgress
from tests.flags import Flags
from tests.property.scheduler import run
from tests.property.world import EPOCH, Process, World
from tests.routing.pair import router_over

SCHEDULES = int(os.environ.get("CHATSTORE_SCHEDULES", "2000"))
STEPS = 16
USERS = ("u", "v")
MAX_SESSIONS = 3
EXPECTED = (NotFoundError, ConflictError, UnavailableError, LeaseLostError)

PROCESSES = st.integers(0, 2)
PICKS = st.integers(0, 7)
# How far a call goes at once: to its end, or only so many steps, and the rest when the schedule says so.
WHOLE = None
FAR = st.sampled_from([WHOLE, WHOLE, 0, 1, 2, 3])
WRITES = [
    "create",
    "rename",
    *["append"] * 4,
    "append_two",
    "append_again",
    "replace",
    *["edit"] * 2,
    "pop",
    "delete_messages",
    "clear",
    "delete",
]
CALLS = st.lists(st.tuples(PROCESSES, st.sampled_from(WRITES), PICKS, PICKS, FAR), min_size=1, max_size=5)
FAULTS = [
    "server goes or comes",
    "the next reply is lost",
    "a process crashes",
    "the runner crashes",
    "what was on the wire arrives",
    "a clock jumps",
    "a clock jumps",
    "deadlines pass",
]
READS = ["messages", "last", "count", "get", "list"]


class SteadyFlags(Flags):
    """`Flags` whose provider is registered once; it answers with whatever stage was set last."""

    def _provide(self):
        if not hasattr(self, "_provided"):
            self._provided = True
            super()._provide()


@pytest.fixture(scope="module")
def flags():
    return [SteadyFlags() for _ in range(4)]


class Machine(RuleBasedStateMachine):
    """The machine; `flags` is set by the tests."""

    flags = ()

    def __init__(self):
        super().__init__()
        self.world = World()
        self.failed = False
        self.number = 0
        for flags in self.flags:
            flags._users = {}
            flags._stage = Stage.OFF

    @property
    def ledger(self):
        return self.world.ledger

    @initialize(
        opened=st.booleans(),
        inline=st.tuples(st.booleans(), st.booleans(), st.booleans()),
        stages=st.tuples(*[st.sampled_from(Stage)] * 3),
    )
    def begin(self, opened, inline, stages):
        self.processes = [Process(self.world, f, inline=i) for f, i in zip(self.flags, inline, strict=False)]
        self.runner = Process(self.world, self.flags[-1])
        if opened:
            self.remember(journal_open=True, verified_at=utc_now())
        self.write([(0, "create", 0, 0, WHOLE), (0, "append_two", 0, 0, WHOLE)])
        for process, stage in zip(self.processes, stages, strict=True):
            process.flags._stage = stage

    def remember(self, **fields):
        for side in Side:
            run(self.world.stores[side].journal.remember(**fields))

    # What the app does

    @rule(calls=CALLS)
    def write(self, calls):
        for process, kind, session, message, far in calls:
            command = self.command(kind, session, message)
            if command is not None and self.allowed(command):
                caller = self.processes[process]
                self.go(caller, caller.router.write(command), self.written, command.session_id, far)

    def command(self, kind, session, message):
        self.number += 1
        names = list(self.ledger.sessions)
        if (kind == "create" and session >= len(names) and len(names) < MAX_SESSIONS) or not names:
            names.append(f"s{len(names)}")
            self.ledger.sessions[names[-1]] = USERS[len(names) % 2]
            self.ledger.sent[names[-1]] = []
            kind, session = "create", len(names) - 1
        name = names[session % len(names)]
        sent = self.ledger.sent[name]
        about = {"user_id": self.ledger.sessions[name], "session_id": name, "at": self.world.now()}
        one = sent[message % len(sent)] if sent else None
        match kind:
            case "create":
                return CreateSession(**about, title=f"t{self.number}")
            case "rename":
                return UpdateSession(**about, title=f"t{self.number}")
            case "delete":
                return DeleteSession(**about)
            case "append":
                return AppendMessages(**about, messages=self.new(sent, 1))
            case "append_two":
                return AppendMessages(**about, messages=self.new(sent, 2))
            case "replace":
                return AppendMessages(**about, messages=self.new(sent, 1), replace=True)
            case "pop":
                return PopMessage(**about)
            case "clear":
                return ClearMessages(**about)
        if one is None:
            return None
        match kind:
            case "append_again":
                return AppendMessages(**about, messages=(one,))
            case "edit":
                return EditMessage(**about, message_id=one.id, content=f"e{self.number}")
            case "delete_messages":
                return DeleteMessages(**about, message_ids=(one.id,))
        raise AssertionError(kind)

    def new(self, sent, count):
        made = [NewMessage("user", f"c{self.number}.{i}", id=f"m{self.number}.{i}") for i in range(count)]
        sent.extend(made)
        return tuple(made)

    def allowed(self, command):
        # A deletion while the journal is closed leaves a tombstone on the old side only. Nobody needs it on the other,
        # but the comparison of all that the sides know would call it a difference.
        return not isinstance(command, DeleteSession) or self.world.opened()

    def written(self, op, error):
        if error is not None and not isinstance(error, EXPECTED):
            self.failed = True
            raise error

    @rule(process=PROCESSES, kind=st.sampled_from(READS), session=PICKS, far=FAR)
    def read(self, process, kind, session, far):
        names = list(self.ledger.sessions)
        if not names:
            return
        name = names[session % len(names)]
        user = self.ledger.sessions[name]
        process = self.processes[process]
        router = process.router
        found = []

        async def call():
            match kind:
                case "messages":
                    found.extend(await router.messages(user, name))
                case "last":
                    found.extend(await router.last_messages(user, name, 100))
                case "count":
                    found.append(await router.count_messages(user, name))
                case "get":
                    found.append(await router.get_session(user, name))
                case "list":
                    found.extend((await router.list_sessions(user)).items)

        def done(op, error):
            self.written(op, error)
            if op.faults == self.world.faults:  # Else a server was away, and what it knows may be missed.
                self.check(lambda: self.check_read(op, kind, name, found, error))

        self.go(process, call(), done, name, far)

    def check_read(self, op, kind, name, found, error):
        verdicts = self.ledger.of(name)
        own = verdicts.own(op.process, op.begun)
        assert error is None or isinstance(error, NotFoundError)
        missing = error is not None or (kind == "list" and name not in {session.id for session in found})
        if missing:
            verdicts.check_session(None, own)
        elif kind in {"messages", "last"}:
            verdicts.check_messages(found, own)
        elif kind == "count":
            sure = [n for n, puts in verdicts.puts.items() if verdicts.must_be(n, [p for p in puts if p in own])]
            assert found[0] >= len(sure), f"lost: one of {sure}"
        else:
            verdicts.check_session(next(session for session in found if session.id == name), own)

    # What happens to it

    @rule(process=PROCESSES, user=st.sampled_from([*USERS, None]), stage=st.sampled_from(Stage))
    def flip(self, process, user, stage):
        flags = self.processes[process].flags
        if user is None:
            flags._users, flags._stage = {}, stage
        else:
            flags._users[user] = stage

    @rule(index=st.integers(0, 30), steps=st.integers(1, 4))
    def step(self, index, steps):
        for _ in range(steps):
            if gates := self.world.gates:
                self.world.release(gates[index % len(gates)])

    @rule(kind=st.sampled_from(FAULTS), side=st.sampled_from(Side), index=PICKS, yes=st.booleans())
    def fault(self, kind, side, index, yes):
        world, slot = self.world, index % 3
        match kind:
            case "server goes or comes":
                world.down ^= {side}
            case "the next reply is lost":
                self.processes[slot].lose_reply = True
            case "a process crashes":
                self.processes[slot].crash(arrives=yes)
                self.processes[slot] = Process(world, self.processes[slot].flags, inline=index < 4)
            case "the runner crashes":
                self.runner.crash(arrives=yes)
                self.runner = Process(world, self.runner.flags)
            case "what was on the wire arrives" if world.late:
                world.arrive(index)
            case "a clock jumps":
                world.skew[side] += (-1 if yes else 1) * (1, 3, 7, 20, 40, 100, 1000, 100_000)[index]
            case "deadlines pass":
                world.pass_time(6.0 if yes else 1.0)

    # What the operator does

    @rule(kind=st.sampled_from(["repair", "repair", "backfill", "verify"]), far=FAR)
    def operate(self, kind, far):
        if kind == "repair":
            self.go(self.runner, self.runner.repairer.run(), self.written, None, far)
        elif kind == "backfill":
            self.go(self.runner, self.backfilling(), self.written, None, far)
        elif self.world.opened() and not self.ledger.unmarked and not self.world.differing():
            self.remember(verified_at=utc_now())

    async def backfilling(self):
        runner, options = self.runner, BackfillOptions(batch=1)
        sides = runner.sides
        await backfill_chat(sides.old, sides.new, runner.progress, repair=runner.repairer.run, options=options)
        self.ledger.unmarked.clear()

    # How it runs

    def go(self, process, coroutine, done, name, far):
        op = self.world.start(process, coroutine, done, name)
        if far is WHOLE:
            self.world.finish(op)
        for _ in range(far or 0):
            if gate := next((gate for gate in self.world.gates if gate.owner is op), None):
                self.world.release(gate)

    def check(self, what):
        try:
            what()
        except AssertionError:
            self.failed = True
            raise

    @invariant()
    def what_differs_is_marked(self):
        self.check(self.check_marks)

    def check_marks(self):
        unmarked = self.world.differing() - self.world.marked() - self.ledger.unmarked
        assert not unmarked, f"the sides differ, and no mark says so: {self.both(unmarked)}"

    def both(self, names):
        return {name: [self.world.known(side, name) for side in Side] for name in names}

    def teardown(self):
        try:
            if not self.failed and hasattr(self, "runner"):
                self.end_and_check()
        finally:
            self.world.end()

    def end_and_check(self):
        """Everything comes back and ends; a backfill where one is due, repairs until no mark is left; then look."""
        world = self.world
        world.down.clear()
        world.drain()
        if self.ledger.unmarked:
            world.start(self.runner, self.backfilling(), self.written)
            world.drain()
            assert not self.ledger.unmarked, "a backfill did not come to its end"
        while world.marked():
            before = world.marked()
            world.start(self.runner, self.runner.repairer.run(), self.written)
            world.drain()
            assert world.marked() < before, "a repair leaves marks for ever"
        assert not world.differing(), f"the sides differ in the end: {self.both(world.differing())}"
        for name in self.ledger.sessions:
            for side in Side:
                state = world.stores[side]._states.get(name)
                verdicts = self.ledger.of(name)
                verdicts.check_session(state and state.session)
                verdicts.check_messages(state.ordered(EPOCH) if state else [])


DEFAULT_SEED = 20261124


def explore(machine, flags, schedules, number=None):
    chosen_seed = os.environ.get("CHATSTORE_SEED") or str(number or DEFAULT_SEED)
    number = random.SystemRandom().getrandbits(32) if chosen_seed == "random" else int(chosen_seed)
    print(f"CHATSTORE_SEED={number}")
    chosen = settings(
        max_examples=schedules,
        stateful_step_count=STEPS,
        deadline=None,
        print_blob=True,
        report_multiple_bugs=False,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    logging.disable(logging.WARNING)  # Refused stages and servers that are away: thousands of each.
    try:
        run_state_machine_as_test(seed(number)(type(machine.__name__, (machine,), {"flags": flags})), settings=chosen)
    finally:
        logging.disable(logging.NOTSET)


@pytest.mark.timeout(600)  # it is as long as what it searches
def test_no_schedule_loses_or_revives_or_doubles_anything(flags):
    explore(Machine, flags, SCHEDULES)


# The lives of a session: schedules that the machine once found.

ABOUT = {"user_id": "u", "session_id": "s"}


def deleted_beside_an_append():
    """A session on both sides is deleted on the old one while the new one, which does not know, appends to it."""
    old, new = MemoryChat(Side.OLD), MemoryChat(Side.NEW)
    created = run(old.write(CreateSession(**ABOUT, title="first")))
    run(new.put([created.change]))
    deleted = run(old.write(DeleteSession(**ABOUT)))
    appended = run(new.write(AppendMessages(**ABOUT, messages=(NewMessage("user", "beside", id="m"),))))
    return old, new, deleted.change, appended.change


def on_both(old, new):
    return [[message.id for message in run(side.messages("u", "s"))] for side in (old, new)]


def test_what_was_appended_beside_a_deletion_does_not_reach_the_next_life():
    old, new, deleted, appended = deleted_beside_an_append()
    again = run(old.write(CreateSession(**ABOUT, title="second"))).change
    run(old.put([appended]))
    run(new.put([deleted]))
    run(new.put([again]))
    assert on_both(old, new) == [[], []]


def test_a_title_given_beside_a_deletion_does_not_undo_it():
    old, new, deleted, appended = deleted_beside_an_append()
    renamed = run(new.write(UpdateSession(**ABOUT, title="second"))).change
    run(old.put([appended]))
    run(old.put([renamed]))
    run(new.put([deleted]))
    for side in (old, new):
        with pytest.raises(NotFoundError):
            run(side.get_session("u", "s"))


def test_what_is_appended_to_a_session_created_again_is_kept():
    old, new, deleted, _ = deleted_beside_an_append()
    again = run(old.write(CreateSession(**ABOUT, title="second"))).change
    kept = run(old.write(AppendMessages(**ABOUT, messages=(NewMessage("user", "kept", id="k"),)))).change
    run(new.write(AppendMessages(**ABOUT, messages=(NewMessage("user", "late", id="l"),))))
    run(new.put([deleted]))
    run(new.put([again]))
    run(new.put([kept]))
    assert on_both(old, new) == [["k"], ["k"]]


async def test_a_session_deleted_at_off_before_the_migration_does_not_come_back():
    sides = Sides(MemoryChat(Side.OLD), MemoryChat(Side.NEW))
    flags = Flags(Stage.DUALWRITE)
    chat = router_over(sides, flags)
    await chat.create_session("u", session_id="s")
    flags.set(Stage.OFF)
    await chat.delete_session("u", "s")
    await backfill_chat(sides.old, sides.new, MemoryProgress(), repair=chat_repairer(sides).run)
    assert await sides.new.count() == await sides.old.count()

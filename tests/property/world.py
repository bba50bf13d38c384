"""Processes over two stores in memory, where every step of every call waits until the test lets it go on."""

import asyncio
from contextlib import suppress
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from inspect import isasyncgenfunction

from chatstore.errors import ConflictError, NotFoundError, UnavailableError
from chatstore.models import Kind, Side
from chatstore.routing import ChatRouter, Sides, StageResolver, chat_repairer, chat_replicator
from chatstore.testing import MemoryChat, MemoryJournal, MemoryProgress
from tests.property.ledger import Ledger
from tests.property.scheduler import run

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
OP = ContextVar("op")
_TOO_MANY = 20_000


class FrozenLoop(asyncio.SelectorEventLoop):
    """An event loop whose time stands still until the test moves it: no deadline passes by itself."""

    now = 1000.0

    def __init__(self):
        super().__init__()
        self._kept = []  # A task of a dead process waits for ever: held here, so that it isn't collected meanwhile.

    def create_task(self, *args, **kwargs):
        self._kept.append(super().create_task(*args, **kwargs))
        return self._kept[-1]

    def time(self):
        return self.now


class NotingJournal(MemoryJournal):
    """Tells the ledger when a mark is removed."""

    def __init__(self, ledger):
        super().__init__()
        self._ledger = ledger

    async def clear(self, marks):
        for mark in marks:
            if mark.token in self._marks:
                self._ledger.settled(mark.token)
        await super().clear(marks)


@dataclass(eq=False)
class Op:
    """A call under way.

    Attributes:
        process: Whose.
        session_id: On which session; None when on many.
        begun, acked: When, by the ledger's count; `acked` stays None when the outcome is not known.
        faults: How many faults the world had seen when it began.
    """

    process: object
    session_id: str | None
    begun: int
    faults: int
    on_done: object
    acked: int | None = None
    task: object = None


@dataclass(eq=False)
class Gate:
    """Where a step waits."""

    process: object
    owner: object
    future: asyncio.Future
    sent: object = None  # What happens all the same if the process dies or gives up here: it was on the wire.


class World:
    """Both servers, the processes, and what is under way between them."""

    def __init__(self):
        self.loop = FrozenLoop()
        self.ledger = Ledger()
        self.micros = 0
        self.skew = dict.fromkeys(Side, 0)
        self.stores = Sides(*(MemoryChat(side, now=lambda side=side: self.now(side)) for side in Side))
        for side in Side:
            self.stores[side].journal = NotingJournal(self.ledger)
        self.progress = MemoryProgress()
        self.down = set()
        self.faults = 0
        self.gates = []
        self.late = []
        self.ops = []
        self.over = False

    def now(self, side=None):
        self.micros += 1
        return EPOCH + timedelta(microseconds=self.micros + (self.skew[side] if side else 0))

    def fault(self, what):
        self.faults += 1
        raise UnavailableError(f"{what} (by the test's order)")

    # Running

    def start(self, process, coroutine, on_done, session_id=None):
        op = Op(process, session_id, self.ledger.tick(), self.faults, on_done)
        context = copy_context()
        context.run(OP.set, op)
        op.task = self.loop.create_task(coroutine, context=context)
        self.ops.append(op)
        self.spin()
        return op

    def spin(self):
        """Run whatever can run, until everything waits."""
        self.loop.run_until_complete(self._quiet())
        for op in [op for op in self.ops if op.task.done()]:
            self.ops.remove(op)
            error = op.task.exception()
            if error is None:
                op.acked = self.ledger.tick()
            op.on_done(op, error)

    async def _quiet(self):
        while self.loop._ready:  # noqa: ASYNC110 - there is no event for "nothing can run"
            await asyncio.sleep(0)

    def release(self, gate):
        self.gates.remove(gate)
        gate.future.set_result(None)
        self.spin()

    def finish(self, op):
        """Let one call go on to its end, or until it sleeps."""
        while gate := next((gate for gate in self.gates if gate.owner is op and op in self.ops), None):
            self.release(gate)

    def pass_time(self, seconds):
        """Deadlines run out, sleepers wake."""
        self.loop.now += seconds
        self.faults += 1
        self.spin()

    def drain(self):
        """Let everything go on to its end."""
        for _ in range(_TOO_MANY):
            if self.gates:
                self.release(self.gates[0])
            elif self.late:
                self.arrive(0)
            elif self.ops:
                self.pass_time(1.0)
            else:
                return
        raise AssertionError("some call never ends")

    def end(self):
        self.over = True
        while tasks := [task for task in self.loop._kept if not task.done()]:
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(self._quiet())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
        self.loop._kept.clear()

    # What the servers do

    def execute(self, side, op, command, mark):
        """A write takes effect."""
        store = self.stores[side]
        written = run(store.write(command, mark))
        if written.change is not None:
            marked = mark is not None and mark.token in store.journal._marks
            self.ledger.note(side, op, command, written, mark.token if marked else None)
            if mark is not None and mark.while_open and not store.journal._state.journal_open:
                self.ledger.unmarked.add(command.session_id)
        return written

    def opened(self):
        return all(self.stores[side].journal._state.journal_open for side in Side)

    def arrive(self, index):
        """Something reaches its server whose sender does not wait for the answer any more."""
        with suppress(NotFoundError, ConflictError):
            self.late.pop(index % len(self.late))()

    def marked(self):
        return {mark.key for side in Side for mark in self.stores[side].journal._marks.values()}

    def known(self, side, session_id):
        """All that a side knows of a session, to compare with the other's."""
        state = self.stores[side]._states.get(session_id)
        if state is None:
            return (None, 0, 0, {}, {})
        return (state.session, state.deleted, state.cleared, state.messages, state.tombstones)

    def differing(self):
        return {name for name in self.ledger.sessions if self.known(Side.OLD, name) != self.known(Side.NEW, name)}


@dataclass(eq=False)
class Process:
    """A router, or a runner of repairs and backfills, with its own connections; `crash` ends it."""

    world: World
    flags: object
    inline: bool = True
    dead: bool = False
    lose_reply: bool = False
    sides: Sides = field(init=False)

    def __post_init__(self):
        world = self.world
        self.sides = Sides(*(Link(world, self, side) for side in Side))
        behind = self.sides if self.inline else Sides(*(Link(world, self, side, owner=self) for side in Side))
        journals = [world.stores[side].journal for side in Side]
        stages = StageResolver(Kind.CHAT, journals, client=self.flags.client, refresh=0.0)
        self.router = ChatRouter(self.sides, stages, replicator=chat_replicator(behind, inline=self.inline, linger=0.0))
        # A side that failed is asked again at once: the rests are real time, longer than any schedule.
        self.router._reads._catch_up._rest = 0.0
        if not self.inline:
            self.router.replicator._rest = 0.0
        self.repairer = chat_repairer(self.sides)
        self.progress = UntilDeath(self, world.progress)

    def crash(self, *, arrives):
        """Die here. With `arrives`, what was on the wire reaches the servers, sooner or later."""
        self.dead = True
        for gate in [gate for gate in self.world.gates if gate.process is self]:
            self.world.gates.remove(gate)
            if arrives and gate.sent is not None:
                self.world.late.append(gate.sent)
        self.world.ops = [op for op in self.world.ops if op.process is not self]
        if self.world.progress._lease is not None:
            self.world.progress._lease = None  # It ran out.


class UntilDeath:
    """A process's way to the record of a migration's progress: at once, until it dies. A lease is not renewed then."""

    def __init__(self, process, progress):
        self._process = process
        self._progress = progress

    def __getattr__(self, name):
        method = getattr(self._progress, name)

        async def call(*args, **kwargs):
            if self._process.dead:
                await asyncio.get_running_loop().create_future()  # For ever.
            return await method(*args, **kwargs)

        return method if isasyncgenfunction(method) else call


class JournalLink:
    """A process's way to a journal."""

    def __init__(self, link, journal):
        self._link = link
        self._journal = journal

    def __getattr__(self, name):
        return self._link.through(getattr(self._journal, name))


class Link:
    """A process's way to a store: each request, and the reply of each write, waits for the test, and may get lost."""

    notes = ()
    space = ""

    def __init__(self, world, process, side, owner=None):
        self.side = side
        self._world = world
        self._process = process
        self._owner = owner
        self._store = world.stores[side]
        self.journal = JournalLink(self, self._store.journal)

    async def wait(self, sent=None):
        world, process = self._world, self._process
        future = world.loop.create_future()
        if process.dead or world.over:
            await future  # For ever.
        gate = Gate(process, self._owner or OP.get(), future, sent)
        world.gates.append(gate)
        try:
            await future
        except asyncio.CancelledError:
            if gate in world.gates:
                world.gates.remove(gate)
                if sent is not None and not world.over:
                    world.late.append(sent)
            raise
        if self.side in world.down:
            world.fault(f"the {self.side} side is away")

    def _lose_reply(self):
        if self._process.lose_reply:
            self._process.lose_reply = False
            self._world.fault("the reply was lost")

    async def write(self, command, mark=None):
        op = OP.get()
        await self.wait(sent=lambda: self._world.execute(self.side, op, command, mark))
        written = self._world.execute(self.side, op, command, mark)
        await self.wait()
        self._lose_reply()
        return written

    async def put(self, changes):
        await self.wait(sent=lambda: run(self._store.put(changes)))
        await self._store.put(changes)
        await self.wait()
        self._lose_reply()

    def __getattr__(self, name):
        return self.through(getattr(self._store, name))

    def through(self, method):
        """A server's method, as its caller far away has it."""

        async def call(*args, **kwargs):
            await self.wait()
            return await method(*args, **kwargs)

        async def pages(*args, **kwargs):
            await self.wait()
            async for page in method(*args, **kwargs):
                yield page
                await self.wait()

        return pages if isasyncgenfunction(method) else call

"""A process's way to the servers: every request, and every reply that matters, is a point where something can go wrong."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from inspect import isasyncgenfunction

from chatstore.chroma.exclusion import Exclusion, WorkUnderWay
from chatstore.errors import LeaseLostError
from chatstore.models import new_token
from tests.property.scheduler import run
from tests.property.world import OP, JournalLink, Link, Process

# What changes something on a server: only there does it matter whether the request or its reply was lost.
CHANGES = frozenset(
    {"add", "clear", "clear_alone", "remember"}
    | {"acquire", "release", "save_checkpoint", "quarantine", "release_quarantined"}
)


@dataclass(eq=False)
class Request:
    """What is on the wire at a point. Called, it reaches its server; the sender hears nothing of it."""

    name: str
    effect: Callable | None = None

    def __call__(self):
        with suppress(LeaseLostError):
            if self.effect is not None:
                self.effect()


class Wire(Link):
    """A `Link` whose replies can be lost one by one, a store's as well as a journal's."""

    def __init__(self, world, process, side):
        super().__init__(world, process, side)
        self.journal = JournalWire(self, self._store.journal, "journal")

    async def ask(self, name, effect):
        """Do `effect`, which changes something, at the server."""
        await self.wait(Request(f"{self.side}: {name}", effect))
        result = effect()
        await self.wait(Request(f"{self.side}: reply to {name}"))
        return result

    async def write(self, command, mark=None):
        op = OP.get()
        return await self.ask("write", lambda: self._world.execute(self.side, op, command, mark))

    async def put(self, changes):
        await self.ask("put", lambda: run(self._store.put(changes)))


class JournalWire(JournalLink):
    """A process's way to a journal, or to the record of a migration's progress."""

    def __init__(self, link, journal, name):
        super().__init__(link, journal)
        self._name = name

    def __getattr__(self, name):
        method = getattr(self._journal, name)

        async def change(*args, **kwargs):
            return await self._link.ask(f"{self._name} {name}", lambda: run(method(*args, **kwargs)))

        async def pages(*args, **kwargs):
            await self._link.wait()
            async for page in method(*args, **kwargs):
                yield page

        if isasyncgenfunction(method):
            return pages
        return change if name in CHANGES else super().__getattr__(name)


class DocumentWire(Wire):
    """The way to a document store; one that compares and writes in two steps is asked in as many requests as Chroma."""

    def __init__(self, world, process, side):
        super().__init__(world, process, side)
        self.atomic = self._store.atomic
        if not self.atomic:
            self._exclusion = Exclusion(WorkWire(self, self._store), now=world.clock)

    async def write(self, command, marks=()):
        if self.atomic:
            return await self.ask("write", lambda: self._noted(run(self._store.write(command, marks))))
        await self.journal.add(marks)
        async with self._exclusion.writing(command.user_id, (), marked=bool(marks)):
            return await self._in_two_steps("write", lambda apart: apart.write(command))

    async def put(self, changes):
        if self.atomic:
            await super().put(changes)
        else:
            await self._exclusion.join(changes, self._join)

    async def _join(self, changes):
        await self._in_two_steps("put", lambda apart: apart.put(changes))

    async def _in_two_steps(self, name, act):
        await self.wait()
        before = dict(self._store._states)
        return await self.ask(name, lambda: self._noted(run(self._store._apart(before, act))))

    def _noted(self, written):
        if written is not None:
            self._world.note_unmarked(self.side, written.changes)
        return written


class WorkWire(WorkUnderWay):
    """A process's way to what says who is at work on a store's documents."""

    def __init__(self, wire, store):
        self._wire = wire
        self._store = store

    async def marks_on(self, keys):
        await self._wire.wait()
        return list(self._store.journal._marks.values())

    async def announce(self, user_ids, until):
        names = {new_token(): (user_id, until) for user_id in user_ids}
        await self._wire.ask("announce", lambda: self._store.joins.update(names))
        return list(names)

    async def withdraw(self, names):
        await self._wire.ask("withdraw", lambda: [self._store.joins.pop(name, None) for name in names])

    async def joins_until(self, user_id):
        await self._wire.wait()
        return max((until for owner, until in self._store.joins.values() if owner == user_id), default=None)


@dataclass(eq=False)
class Wired(Process):
    """A process whose way to everything, the stage's record and a migration's progress too, is such a wire.

    Its parts are made by the world, which knows of which kind they are.
    """

    def __post_init__(self):
        world = self.world
        self.sides = world.wires(self)
        self.progress = JournalWire(self.sides.old, world.progress, "progress")
        self.router = world.router(self)
        # A side that failed is asked again at once: the rests are real time, longer than any run.
        self.router._reads._catch_up._rest = self.router.replicator._rest = 0.0
        self.repairer = world.repairer(self)

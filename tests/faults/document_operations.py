"""What is done to documents: the table of operations."""

import asyncio

from chatstore.models import DeleteDocuments, NewDocument, Side, Stage, UpsertDocuments, utc_now
from chatstore.routing import announcements, settle, withdraw
from chatstore.testing.samples import EAST
from tests.faults.bench import Operation


def upsert(text, *names, user="u"):
    documents = tuple(NewDocument(f"{text} {name}", id=name, embedding=EAST) for name in names)
    return UpsertDocuments(user_id=user, documents=documents)


def delete(*names, user="u"):
    return DeleteDocuments(user_id=user, ids=names)


COMMANDS = {
    "insert": upsert("new", "d4"),
    "update": upsert("newer", "d1"),
    "upsert several": upsert("newer", "d1", "d4", "d5"),
    "delete": delete("d2"),
    "delete several": delete("d1", "nobody", "d3"),
}


def both_hold(bench):
    """A migration under way, verified: all that there is lies on both sides."""
    bench.remember(journal_open=True, verified_at=utc_now())
    bench.writes_both(upsert("first", "d1", "d2", "d3"))
    bench.writes_both(upsert("first", "e1", user="v"))


def _given_at(stage):
    def given(bench):
        bench.at(stage)
        both_hold(bench)

    return given


def _write(name, command, stage, inline):
    async def call(bench):
        await bench.process.router.write(command)

    how = "" if inline else ", behind the answer"
    return Operation(f"{name} at {stage}{how}".replace(" ", "-"), _given_at(stage), call, inline=inline)


WRITES = [_write(name, command, stage, inline=True) for name, command in COMMANDS.items() for stage in Stage]
BEHIND = [
    _write(name, COMMANDS[name], stage, inline=False)
    for name in ("upsert several", "delete")
    for stage in (Stage.DUALWRITE, Stage.LIVE)
]


async def _write_and_drain(bench):
    router = bench.process.router
    await asyncio.gather(*(router.write(COMMANDS[name]) for name in ("insert", "update", "delete")))
    await router.replicator.drain()


async def _write_and_close(bench):
    router = bench.process.router
    await router.write(COMMANDS["update"])
    await router.write(COMMANDS["delete"])
    await router.close()


# Repair, and what it is made of


def _marked(bench):
    """Either side has what the other one lacks, all of it marked; of `d1` both sides have something newer."""
    both_hold(bench)
    bench.writes_first(Side.OLD, upsert("on the old side", "d1", "d4"))
    bench.writes_first(Side.NEW, upsert("on the new side", "d1", "d5"))
    bench.writes_first(Side.NEW, delete("d2"))
    bench.writes_first(Side.OLD, delete("e1", user="v"))


async def _repair(bench):
    await bench.process.repairer.run()


def _marked_without_need(bench):
    both_hold(bench)
    bench.standing = []
    for side, command in ((Side.OLD, upsert("newer", "d1", "d2")), (Side.NEW, delete("d3"))):
        marks, changes = bench.writes_first(side, command)
        bench.arrives(side.other, changes)
        bench.standing += marks


async def _settle(bench):
    await settle(bench.process.sides, bench.standing, exclusive=True)


def _announced(bench):
    both_hold(bench)
    keys = [change.key for change in bench.stores.old._states.values()]
    bench.standing = [mark for side in Side for mark in announcements(keys, side)]
    for mark in bench.standing:
        bench.stores[mark.side].journal.set([mark])


async def _withdraw(bench):
    await withdraw(bench.process.sides, bench.standing)


# Copying what was there before


def _only_on(source):
    def given(bench):
        if source is Side.NEW:
            bench.remember(verified_at=utc_now())
        bench.writes(source, upsert("first", "d1", "d2"))
        bench.writes(source, upsert("first", "e1", user="v"))

    return given


def _backfill(source):
    async def call(bench):
        await bench.backfill(source)

    return call


def _beside(*stages):
    """Writes of processes at these stages, to what lies before, at and behind the copying."""
    commands = [upsert("beside", "d1"), upsert("beside", "e1", user="v"), delete("d1"), delete("e1", user="v")]
    return tuple(
        lambda bench, stage=stage, command=command: bench.tries(stage, command)
        for stage in stages
        for command in commands
    )


# Flips


def _flipped(before, after):
    """A user who was just now served at `before`, where the second side missed a write; now the stage is `after`."""
    authority = Side.OLD if before is Stage.DUALWRITE else Side.NEW

    def given(bench):
        bench.at(before)
        both_hold(bench)
        bench.whole(bench.process.router.get("u", "d1"))
        bench.writes_first(authority, COMMANDS["update"])
        bench.writes_first(authority, delete("d2"))
        bench.at(after)

    return given


async def _read(bench):
    return (await bench.process.router.get("u", "d1")).text


async def _list(bench):
    await bench.process.router.list_documents("u")


async def _update_after_flip(bench):
    await bench.process.router.write(upsert("newest", "d1"))


FLIPS = [
    Operation(f"{name}-after-{before}-{after}", _flipped(before, after), call, answer=answer, points=6)
    for before, after in ((Stage.DUALWRITE, Stage.RAMPDOWN), (Stage.RAMPDOWN, Stage.DUALWRITE))
    for name, call, answer in (("get", _read, "newer d1"), ("list", _list, None), ("update", _update_after_flip, None))
]

BACKFILLS = [
    Operation(f"backfill-from-{side}", _only_on(side), _backfill(side), again=_backfill(side), beside=beside, points=20)
    for side, beside in (
        (Side.OLD, _beside(Stage.OFF, Stage.DUALWRITE)),
        (Side.NEW, _beside(Stage.COMPLETE, Stage.LIVE)),
    )
]

REPAIR = Operation(
    "repair",
    _marked,
    _repair,
    beside=_beside(Stage.OFF, Stage.DUALWRITE, Stage.LIVE, Stage.COMPLETE),
    points=20,
)

BEHIND_THE_APP = [
    Operation("drain", _given_at(Stage.DUALWRITE), _write_and_drain, inline=False, one_step=False, points=10),
    Operation("close", _given_at(Stage.LIVE), _write_and_close, inline=False, one_step=False, points=10),
    REPAIR,
    Operation("settle", _marked_without_need, _settle, points=4),
    Operation("withdraw", _announced, _withdraw, points=8),
]

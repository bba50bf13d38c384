"""What is done to sessions and messages: the table of operations."""

import asyncio

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
from chatstore.routing import settle
from tests.faults.bench import Operation

OF_S = {"user_id": "u", "session_id": "s"}
OF_T = {"user_id": "u", "session_id": "t"}
OF_OTHERS = {"user_id": "v", "session_id": "others"}


def new(*names):
    return tuple(NewMessage("user", f"text of {name}", id=name) for name in names)


def append(about, *names):
    return AppendMessages(**about, messages=new(*names))


COMMANDS = {
    "create": CreateSession(user_id="u", session_id="new", title="new"),
    "rename": UpdateSession(**OF_S, title="renamed"),
    "append": append(OF_S, "m4"),
    "append two": append(OF_S, "m4", "m5"),
    "replace": AppendMessages(**OF_S, messages=new("m4"), replace=True),
    "edit": EditMessage(**OF_S, message_id="m2", content="edited"),
    "pop": PopMessage(**OF_S),
    "delete messages": DeleteMessages(**OF_S, message_ids=("m1", "m3")),
    "clear": ClearMessages(**OF_S),
    "delete": DeleteSession(**OF_S),
}


def both_hold(bench):
    """A migration under way, verified: all that there is lies on both sides."""
    bench.remember(journal_open=True, verified_at=utc_now())
    for about, names in ((OF_S, ("m1", "m2", "m3")), (OF_T, ("n1",)), (OF_OTHERS, ("o1",))):
        bench.writes_both(CreateSession(**about, title=about["session_id"]))
        bench.writes_both(append(about, *names))


def _write(name, command, stage, inline):
    def given(bench):
        bench.at(stage)
        both_hold(bench)

    async def call(bench):
        await bench.process.router.write(command)

    how = "" if inline else ", behind the answer"
    return Operation(f"{name} at {stage}{how}".replace(" ", "-"), given, call, inline=inline)


WRITES = [_write(name, command, stage, inline=True) for name, command in COMMANDS.items() for stage in Stage]
BEHIND = [
    _write(name, COMMANDS[name], stage, inline=False)
    for name in ("append two", "edit", "delete")
    for stage in (Stage.DUALWRITE, Stage.LIVE)
]


# What goes on behind the app


def _given_at(stage):
    def given(bench):
        bench.at(stage)
        both_hold(bench)
        bench.whole(bench.process.router.messages("u", "s"))

    return given


async def _write_and_drain(bench):
    router = bench.process.router
    await asyncio.gather(*(router.write(COMMANDS[name]) for name in ("append", "edit", "delete messages")))
    await router.replicator.drain()


async def _write_and_close(bench):
    router = bench.process.router
    writes = [asyncio.ensure_future(router.write(COMMANDS[name])) for name in ("append", "edit", "rename")]
    await asyncio.sleep(0)
    await router.close()
    await asyncio.gather(*writes)


def _marked(bench):
    """Either side has what the other one lacks, all of it marked."""
    both_hold(bench)
    bench.writes(Side.OLD, COMMANDS["append"])
    bench.writes(Side.NEW, COMMANDS["edit"])
    bench.writes(Side.NEW, COMMANDS["pop"])
    bench.writes(Side.OLD, DeleteSession(**OF_T))
    bench.writes(Side.NEW, append(OF_T, "n2"))
    bench.writes(Side.NEW, append(OF_OTHERS, "o2"))


async def _repair(bench):
    await bench.process.repairer.run()


def _marked_without_need(bench):
    both_hold(bench)
    bench.standing = [
        bench.writes_first(side, append(about, name))
        for side, about, name in ((Side.OLD, OF_S, "m4"), (Side.NEW, OF_T, "n2"))
    ]
    for mark, change in bench.standing:
        bench.arrives(mark.side.other, change)


async def _settle(bench):
    await settle(bench.process.sides, [mark for mark, _ in bench.standing], exclusive=False)


# Copying what was there before


def _only_on(source):
    def given(bench):
        for about, names in ((OF_S, ("m1", "m2")), (OF_T, ("n1",)), (OF_OTHERS, ("o1", "o2"))):
            bench.writes(source, CreateSession(**about, title=about["session_id"]))
            bench.writes(source, append(about, *names))

    return given


def _backfill(source):
    async def call(bench):
        await bench.backfill(source)

    return call


def _beside(side):
    """Writes of a process at `off` or at `complete`, to what lies before, at and behind the copying."""
    commands = [
        append(OF_OTHERS, "beside"),
        append(OF_S, "beside"),
        append(OF_T, "beside"),
        DeleteSession(**OF_OTHERS),
        DeleteSession(**OF_S),
        DeleteMessages(**OF_S, message_ids=("m1",)),
        EditMessage(**OF_T, message_id="n1", content="edited"),
        CreateSession(user_id="u", session_id="a new one", title="new"),
    ]
    return tuple(lambda bench, command=command: bench.tries(side, command) for command in commands)


# Flips


def _flipped(before, after):
    """A user who was just now served at `before`, where the second side missed a write; now the stage is `after`."""
    authority = Side.OLD if before in {Stage.DUALWRITE, Stage.SHADOW} else Side.NEW

    def given(bench):
        bench.at(before)
        both_hold(bench)
        bench.whole(bench.process.router.messages("u", "s"))
        bench.writes_first(authority, COMMANDS["append"])
        bench.writes_first(authority, COMMANDS["edit"])
        bench.at(after)

    return given


async def _read(bench):
    return [message.content for message in await bench.process.router.messages("u", "s")]


async def _list(bench):
    await bench.process.router.list_sessions("u")


async def _append_after_flip(bench):
    await bench.process.router.write(append(OF_S, "m5"))


OWN_WRITES = ["text of m1", "edited", "text of m3", "text of m4"]

FLIPS = [
    Operation(f"{name}-after-{before}-{after}", _flipped(before, after), call, answer=answer, points=6)
    for before, after in (
        (Stage.DUALWRITE, Stage.RAMPDOWN),
        (Stage.RAMPDOWN, Stage.DUALWRITE),
        (Stage.DUALWRITE, Stage.COMPLETE),
        (Stage.COMPLETE, Stage.OFF),
    )
    for name, call, answer in (("read", _read, OWN_WRITES), ("list", _list, None), ("append", _append_after_flip, None))
]

BACKFILLS = [
    Operation(
        f"backfill-from-{side}",
        _only_on(side),
        _backfill(side),
        again=_backfill(side),
        beside=_beside(side),
        points=20,
    )
    for side in Side
]

REPAIR = Operation("repair", _marked, _repair, beside=_beside(Side.OLD) + _beside(Side.NEW), points=20)

BEHIND_THE_APP = [
    Operation("drain", _given_at(Stage.DUALWRITE), _write_and_drain, inline=False, one_step=False, points=10),
    Operation("close", _given_at(Stage.LIVE), _write_and_close, inline=False, one_step=False, points=10),
    REPAIR,
    Operation("settle", _marked_without_need, _settle, points=4),
]

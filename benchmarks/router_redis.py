"""The router over a real Redis, when the second side is late or dead."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from benchmarks.ledgers import server
from benchmarks.results import Row
from benchmarks.router_sides import SESSION, USER, Nothing, router_at
from benchmarks.timing import Times, compared, race_async
from chatstore.models import NewMessage, Side, Stage
from chatstore.redis import Client, RedisChat, chat_layout, connect
from chatstore.routing import ChatRouter

_ROUNDS = 20
_LATE = 0.2
_READ = 20


def measure(*, calls: int) -> list[Row]:
    """Return what a second side that is late or dead costs an append and a read."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # that the second side does not answer is said often, and known here
    try:
        return asyncio.run(_measure(calls // _ROUNDS))
    finally:
        logging.disable(before)


@dataclass(frozen=True, slots=True)
class _App:
    """A router at a stage, and the session that it writes and reads."""

    router: ChatRouter
    old: RedisChat
    new: Nothing
    session_id: str

    async def new_session(self, number: int) -> None:
        """Begin the session of a round: an append costs what it does in a session that is not long."""
        await self.router.create_session(USER, session_id=f"{self.session_id}-{number}")
        await self.router.append(USER, f"{self.session_id}-{number}", _messages(_READ))
        self.new.answer = await self.old.last_messages(USER, f"{self.session_id}-{number}", _READ)

    def append(self, number: int) -> Awaitable[object]:
        return self.router.append(USER, f"{self.session_id}-{number}", NewMessage(role="user", content="How are you?"))

    def read(self, number: int) -> Awaitable[object]:
        return self.router.last_messages(USER, f"{self.session_id}-{number}", _READ)


async def _measure(calls: int) -> list[Row]:
    async with (
        server() as url,
        connect(url) as under_way,
        connect(url.replace("/0", "/1")) as before,
    ):
        return [*await _appends(under_way, before, calls), *await _reads(under_way, calls)]


async def _appends(under_way: Client, before: Client, calls: int) -> list[Row]:
    apps = {
        "before a migration": await _app(before, Stage.OFF, "before"),
        "at `off`": await _app(under_way, Stage.OFF, "off"),
        "late": await _app(under_way, Stage.DUALWRITE, "late", late=_LATE),
        "dead": await _app(under_way, Stage.DUALWRITE, "dead", dead=True),
    }
    times = await _race(apps, _App.append, calls)
    beside = {"at `off`": times["at `off`"]}
    early = {"at `off`, before a migration": times["before a migration"]}
    rows: list[Row] = []
    for how in ("late", "dead"):
        work = f"append at `dualwrite`, second side {_words(how)}"
        rows += compared(work, times[how], beside, p50=1.15, p99=1.5)
        rows += compared(work, times[how], early, p50=1.15, p99=1.5)
    return rows


async def _reads(client: Client, calls: int) -> list[Row]:
    apps = {
        "plain": await _app(client, Stage.DUALWRITE, "plain"),
        "late": await _app(client, Stage.SHADOW, "shadow-late", late=_LATE),
        "dead": await _app(client, Stage.SHADOW, "shadow-dead", dead=True),
    }
    times = await _race(apps, _App.read, calls)
    rows: list[Row] = []
    for how in ("late", "dead"):
        work = f"read of {_READ} messages at `shadow`, second side {_words(how)}"
        rows += compared(work, times[how], {"at `dualwrite`": times["plain"]}, p50=1.15)
    return rows


async def _race(apps: dict[str, _App], act: Callable[[_App, int], Awaitable[object]], calls: int) -> dict[str, Times]:
    now = 0

    async def prepare(number: int) -> None:
        nonlocal now
        now = number
        for app in apps.values():
            await app.new_session(number)

    def contender(app: _App) -> Callable[[], Awaitable[object]]:
        return lambda: act(app, now)

    try:
        contenders = {name: contender(app) for name, app in apps.items()}
        return await race_async(contenders, rounds=_ROUNDS, calls=calls, prepare=prepare)
    finally:
        for app in apps.values():
            await app.router.replicator.close(patience=0)
            await app.router.shadow.close()
            await app.router.stages.close()


async def _app(client: Client, stage: Stage, name: str, *, late: float = 0.0, dead: bool = False) -> _App:
    new = Nothing(Side.NEW, late=late, dead=dead)
    if stage is not Stage.OFF:
        await new.prepare()
    old = RedisChat(client, chat_layout("hash"))
    return _App(router_at(stage, old, new), old, new, f"{SESSION}-{name}")


def _messages(count: int) -> list[NewMessage]:
    return [NewMessage(role="user", content=f"{number}. How are you?") for number in range(count)]


def _words(how: str) -> str:
    return f"{_LATE * 1000:.0f} ms late" if how == "late" else "dead"

"""A backfill under limits that change all the time, beside an app that writes, and killed now and then."""

import asyncio
import random
from typing import Any

import pytest

from chatstore.migration.backfill import BackfillOptions, backfill_chat, backfill_documents
from chatstore.migration.events import ProgressEvent
from chatstore.migration.limits import Limits, Window
from chatstore.models import DeleteDocuments, DeleteMessages, DeleteSession, Side
from tests.migration.doubles import (
    ChatWorld,
    DocumentWorld,
    KilledError,
    Watched,
    append,
    chat_content,
    create,
    document_content,
    legacy_document,
    legacy_session,
    upsert,
)
from tests.migration.virtual_time import in_virtual_time

SESSIONS = 40
OPTIONS = BackfillOptions(batch=3, settle_seconds=1)


class Beside:
    """What goes on beside a backfill: an operator, an app, and somebody who kills it."""

    def __init__(self, world: Any, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.puts = 0
        self.killed = 0
        self.over = False

    async def told(self, name: str, moment: str) -> None:
        """Note what the backfill does; it may be the last thing that it does."""
        await asyncio.sleep(self.random.choice((0, 0.01, 0.3)))
        if (name, moment) == ("put", "before"):
            self.puts += 1
        if self.killed < 4 and self.random.random() < 0.02:
            self.killed += 1
            raise KilledError

    async def operate(self) -> None:
        """Change the limits again and again, hold the run and see that it stands still, and let it go in the end."""
        for _ in range(12):
            chosen = self.random
            limits = Limits(
                rate=chosen.choice((None, 2.0, 30.0, 5000.0)),
                at_once=chosen.choice((None, 1, 2, 9)),
                window=chosen.choice((None, Window.parse("00:00-23:59"))),
                paused=chosen.random() < 0.4,
            )
            await self.world.progress.set_limits(limits.encode())
            await asyncio.sleep(5 if limits.paused else chosen.choice((0.1, 1.5, 4)))
            if limits.paused:
                before = self.puts
                await asyncio.sleep(60)
                assert self.puts == before
        await self.world.progress.set_limits(None)

    async def write(self, command: Any) -> None:
        while not self.over:
            await asyncio.sleep(self.random.choice((0.1, 1, 3)))
            await command(f"s{self.random.randrange(SESSIONS + 3)}")

    async def migrate(self, backfill: Any) -> None:
        world = self.world
        while True:
            source, target, progress = (Watched(one, self.told) for one in (world.old, world.new, world.progress))
            try:
                await backfill(source, target, progress, repair=world.repair, options=OPTIONS)
            except KilledError:
                world.progress._lease = None  # It ran out.
            else:
                return

    async def all(self, backfill: Any, command: Any) -> None:
        app = asyncio.create_task(self.write(command))
        operator = asyncio.create_task(self.operate())
        migrating = asyncio.create_task(self.migrate(backfill))
        try:
            for ended in asyncio.as_completed((migrating, operator)):
                await ended
            self.over = True
            await app
        finally:
            for task in (migrating, app, operator):
                task.cancel()
        await self.world.repair()


@pytest.mark.parametrize("seed", range(12))
def test_sessions_are_equal_whatever_an_operator_does_to_the_run(seed: int) -> None:
    async def go() -> None:
        world = ChatWorld()
        await world.old.put([legacy_session(f"s{number}", "a", "b", "c") for number in range(SESSIONS)])
        beside = Beside(world, seed)

        async def command(name: str) -> None:
            if not any([page.changes async for page in world.old.fetch([name]) if page.changes[0].session]):
                made = create(name)
            else:
                made = beside.random.choice(
                    (
                        append(name, f"new {beside.random.random()}"),
                        DeleteMessages(user_id="u", session_id=name, message_ids=("m1",)),
                        DeleteSession(user_id="u", session_id=name),
                    )
                )
            await beside.random.choice((world.write_both, lambda one: world.write(world.old, one)))(made)

        await beside.all(backfill_chat, command)
        assert await chat_content(world.new) == await chat_content(world.old)

    in_virtual_time(go())


@pytest.mark.parametrize("seed", range(4))
def test_documents_are_equal_whatever_an_operator_does_to_the_run(seed: int) -> None:
    async def go() -> None:
        world = DocumentWorld()
        await world.old.put([legacy_document(f"s{number}") for number in range(SESSIONS)])
        beside = Beside(world, seed)

        async def command(name: str) -> None:
            made = beside.random.choice((upsert(name, "new"), DeleteDocuments(user_id="u", ids=(name,))))
            await world.write(world.old, made)

        await beside.all(backfill_documents, command)
        assert await document_content(world.new) == await document_content(world.old)

    in_virtual_time(go())


def test_a_run_that_is_paused_before_it_begins_reads_nothing_and_keeps_others_out() -> None:
    async def go() -> list[str]:
        world, did = ChatWorld(), []
        events: list[ProgressEvent] = []
        await world.old.put([legacy_session("s", "a")])
        await world.progress.set_limits(Limits(paused=True).encode())

        async def told(name: str, _moment: str) -> None:
            did.append(name)

        source, target = Watched(world.old, told), Watched(world.new, told)
        running = asyncio.create_task(
            backfill_chat(source, target, world.progress, repair=world.repair, on_progress=events.append)
        )
        await asyncio.sleep(3600)
        assert await world.progress.holder() is not None
        assert events[-1].paused
        held = [name for name in did if name in ("keys", "fetch", "put", "count")]
        await world.progress.set_limits(None)
        assert (await running).copied.messages == 1
        return held

    assert in_virtual_time(go()) == []


def test_a_rate_holds_for_a_way_back_and_what_it_deletes() -> None:
    async def go() -> float:
        world = ChatWorld()
        await world.new.put([legacy_session(f"s{number}", "a", "b", "c") for number in range(SESSIONS)])
        await world.old.put([legacy_session("s0", "a", "b", "c")])
        await world.progress.set_limits(Limits(rate=16).encode())
        begun = asyncio.get_running_loop().time()
        report = await backfill_chat(world.new, world.old, world.progress, repair=world.repair)
        assert report.target is Side.OLD
        assert await chat_content(world.new) == await chat_content(world.old)
        return asyncio.get_running_loop().time() - begun

    assert in_virtual_time(go()) == pytest.approx(SESSIONS * 4 / 16, rel=0.2)

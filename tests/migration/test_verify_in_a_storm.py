"""A verify beside an app that never stops writing."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from random import Random
from typing import Any

import pytest

from chatstore.migration import Patience, VerifyOptions, backfill_chat, verify_chat
from chatstore.models import DeleteSession, Side
from chatstore.routing import Sides, chat_repairer
from chatstore.testing import MemoryChat
from tests.migration.doubles import ChatWorld, append, create, legacy_session

OPTIONS = VerifyOptions(batch=10, wait=0.01, patience=Patience(first=0.001, limit=0.5))
SESSIONS = 60
WRITERS = 8


class Slow:
    """A side whose answers take a moment, so that writes fall between its reads."""

    def __init__(self, side: MemoryChat) -> None:
        self._side = side

    def __getattr__(self, name: str) -> Any:
        return getattr(self._side, name)

    async def fetch(self, *args: Any, **kwargs: Any) -> Any:
        async for page in self._side.fetch(*args, **kwargs):
            await asyncio.sleep(0.001)
            yield page


async def filled() -> ChatWorld:
    world = ChatWorld()
    await world.old.put([legacy_session(f"s{number}", "a", "b", "c") for number in range(SESSIONS)])
    await backfill_chat(world.old, world.new, world.progress, repair=world.repair)
    return world


@asynccontextmanager
async def storm(world: ChatWorld):  # type: ignore[no-untyped-def]
    """Write to both sides for the length of the block, or to one of them, as an app at any stage does; yield a count."""
    written: list[int] = []

    async def write(seed: int) -> None:
        draw = Random(seed)
        for number in count():
            name = f"s{draw.randrange(SESSIONS)}" if draw.random() < 0.9 else f"new{seed}-{number}"
            one_sided = draw.random() < 0.3
            for command in (create(name), append(name, f"{seed}-{number}")):
                try:
                    await (world.write(world.old, command) if one_sided else world.write_both(command))
                except Exception:  # noqa: BLE001 - there is such a session already; or none, as it was deleted
                    continue
                written.append(1)
            if draw.random() < 0.02:
                await world.write_both(DeleteSession(user_id="u", session_id=name))
            await asyncio.sleep(0.004)

    writers = [asyncio.create_task(write(seed)) for seed in range(WRITERS)]
    try:
        yield written
    finally:
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)


@pytest.mark.parametrize("has_digests", [True, False])
async def test_it_comes_to_its_end_and_takes_no_write_for_a_difference(has_digests: bool) -> None:
    world = await filled()
    if not has_digests:
        world.new._put.clear()
    repairer = chat_repairer(Sides(world.old, world.new))
    merged: list[int] = []

    async def repair(marks: Any) -> None:
        merged.append(len(marks))
        await repairer.run(marks)

    async with storm(world) as written, asyncio.timeout(60):
        report = await verify_chat(
            Slow(world.old),  # type: ignore[arg-type]
            Slow(world.new),  # type: ignore[arg-type]
            world.progress,
            repair=repair,
            options=OPTIONS,
        )
    assert report.equal, report.differences
    assert len(written) > 100
    assert merged


async def test_in_a_storm_a_true_difference_is_found_all_the_same() -> None:
    world = await filled()
    await world.old.put([legacy_session("quiet", "a", "b", "c")])
    await backfill_chat(world.old, world.new, world.progress, repair=world.repair)
    messages = world.new._states["quiet"].messages
    messages["m1"] = replace(messages["m1"], content="changed")
    repair = chat_repairer(Sides(world.old, world.new)).run
    async with storm(world), asyncio.timeout(60):
        report = await verify_chat(
            Slow(world.old),  # type: ignore[arg-type]
            Slow(world.new),  # type: ignore[arg-type]
            world.progress,
            repair=repair,
            options=OPTIONS,
        )
    assert [(d.key, d.field) for d in report.differences] == [("session/quiet/message/m1", "content")]


async def test_suspects_of_many_batches_are_looked_at_together() -> None:
    world = await filled()
    for number in range(SESSIONS):
        await world.write(world.old, append(f"s{number}", "to one side only"))
    looks: list[int] = []

    class Asked(MemoryChat):
        async def fetch(self, session_ids: Any, *, message_ids: Any = None) -> Any:
            looks.append(len(session_ids))
            async for page in super().fetch(session_ids, message_ids=message_ids):
                yield page

    asked = Asked(Side.NEW)
    asked._states, asked._put, asked.journal = world.new._states, world.new._put, world.new.journal
    report = await verify_chat(
        world.old, asked, world.progress, repair=chat_repairer(Sides(world.old, world.new)).run, options=OPTIONS
    )
    assert report.equal
    # The walk's pages are of two sessions; a second look is at the suspects of all of them.
    assert [size for size in looks if size > 2] == [SESSIONS]

"""Beside the definition in memory, and beside a framework that writes: all agree, in the framework's own order."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from chatstore.models import AppendMessages, from_micros
from tests.redis.convergence import SESSIONS, Underway, command, done, join, states
from tests.redis.keyed.conftest import BEGUN

STEP = 0.125


def spoken(rng, step):
    """Return a command whose messages are made while a clock of the test's own goes on."""
    made = command(rng, step)
    if not isinstance(made, AppendMessages):
        return made
    begun = from_micros(BEGUN * 1_000_000) + timedelta(seconds=step * STEP)
    messages = [replace(one, created_at=begun + timedelta(milliseconds=i)) for i, one in enumerate(made.messages)]
    return replace(made, messages=tuple(messages))


async def foreign_step(rng, step, app, behind):
    session = rng.choice(SESSIONS)
    keys = sorted([key async for key in app.client.scan_iter(f"chat:{session}:*")])
    if keys and rng.random() < 0.3:
        await app.client.delete(rng.choice(keys))
    else:
        time = step * STEP - rng.choice([0, behind])
        await app.client.ask(*app.write_command(session, f"theirs{step}", time, content=f"theirs {step}"))


async def frameworks_order(app, session):
    keys = [key.decode() async for key in app.client.scan_iter(f"chat:{session}:*")]
    times = {key.removeprefix(f"chat:{session}:"): await app.time_of(key) for key in keys}
    assert len(set(times.values())) == len(times)
    return sorted(times, key=lambda name: times[name])


@pytest.fixture(params=[(seed, behind) for seed in range(6) for behind in (None, 0, 1.01)], ids=str)
def world(request):
    """What draws, and how many seconds the clock of a framework that writes too is behind; None where there is none."""
    seed, behind = request.param
    return random.Random(seed), behind


async def test_both_sides_become_equal(app, chat, memory, scanned, world):
    rng, behind = world
    underway = Underway(rng, most=6)
    for step in range(80):
        if behind is not None and rng.random() < 0.3:
            await foreign_step(rng, step, app, behind)
            continue
        side, other = rng.choice([(chat, memory), (memory, chat)])
        await underway.send(other, await done(side, spoken(rng, step)))
    await underway.all_arrive()
    await join(chat, memory)
    assert await states(chat) == await states(memory)
    changes, bad = await scanned(chat)
    assert bad == []
    held = {change.session_id: [message.id for message in change.messages] for change in changes if change.session}
    for session in SESSIONS:
        names = await frameworks_order(app, session)
        # Between two messages that are known already there is no place but by the ids.
        assert (sorted(names) if behind else names) == (sorted if behind else list)(held.get(session, []))

"""A verify that goes by digests comes to the same verdict as one that reads everything.

Whatever was put, written, merged, refused or changed behind chatstore's back, on either side, in any order: what a digest
proves must be what a comparison of contents finds equal. Schedules are the same at every run, as `test_router_machine` has
them; `CHATSTORE_SEED=random` draws others.
"""

import asyncio
import copy
import os
from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatstore.errors import ChatStoreError
from chatstore.migration import Patience, VerifyOptions, verify_chat
from chatstore.models import (
    ClearMessages,
    DeleteMessages,
    DeleteSession,
    EditMessage,
    PopMessage,
    Side,
    UpdateSession,
    utc_now,
)
from chatstore.routing import Sides, chat_repairer
from chatstore.routing.refusals import put_chat
from tests.migration.doubles import ChatWorld, PickyChat, append, create, legacy_session

OPTIONS = VerifyOptions(batch=2, looks=2, wait=0.0, patience=Patience(first=0.001, limit=0.01))
EXAMPLES = int(os.environ.get("CHATSTORE_SCHEDULES", "2000")) // 5
NAMES = st.sampled_from(["s0", "s1", "s2"])
SIDES = st.sampled_from(Side)
VALUES = st.sampled_from([True, 1, 1.0, "1", None, [1], [True], {"a": 0}, {"a": False}])


class Unsaid:
    """A side that says neither fingerprints nor proofs."""

    def __init__(self, side):
        self._side = side

    def __getattr__(self, name):
        return getattr(self._side, name)

    async def fingerprints(self, session_ids):
        return dict.fromkeys(session_ids[:0], "")


def commands(name):
    about = {"user_id": "u", "session_id": name}
    return st.sampled_from(
        [
            create(name),
            append(name, "a", "b"),
            append(name, "bad"),
            replace(append(name, "c"), replace=True),
            EditMessage(**about, message_id="m1", content="edited"),
            DeleteMessages(**about, message_ids=("m0",)),
            PopMessage(**about),
            ClearMessages(**about),
            UpdateSession(**about, title="another"),
            DeleteSession(**about),
        ]
    )


def tamperings(value):
    return st.sampled_from(
        [
            {"content": "tampered"},
            {"position": 7},
            {"metadata": {"x": value}},
            {"extra": {"x": value}},
            {"expires_at": utc_now() - timedelta(days=1)},
            {"version": 3},
            None,
        ]
    )


ACTIONS = st.one_of(
    st.tuples(st.just("write"), SIDES, NAMES.flatmap(commands)),
    st.tuples(st.just("tamper"), SIDES, NAMES, VALUES.flatmap(tamperings)),
    st.tuples(st.just("lose"), SIDES, NAMES),
    st.tuples(st.just("put"), SIDES, NAMES),
    st.tuples(st.just("put"), st.just(Side.OLD), NAMES),
    st.tuples(st.just("repair"), SIDES),
)


async def act(world, action):
    sides = {Side.OLD: world.old, Side.NEW: world.new}
    match action:
        case ("write", side, command):
            await world.write(sides[side], command)
        case ("tamper", side, name, changes):
            state = sides[side]._states.get(name)
            message = None if state is None else next(iter(state.messages.values()), None)
            if message is not None and changes is None:
                del state.messages[message.id]
            elif message is not None:
                state.messages[message.id] = replace(message, **changes)
        case ("lose", side, name):
            sides[side]._states.pop(name, None)
        case ("put", side, name):
            await put_chat(sides[side.other].put, [c async for p in sides[side].fetch([name]) for c in p.changes])
        case ("repair", _):
            await repairer(world).run()


def repairer(world):
    return chat_repairer(Sides(world.old, world.new), progress=world.progress)


async def verdict(world, *, by_digest):
    # Each on a world of its own: a verify merges what is marked.
    world = copy.deepcopy(world)
    old = world.old if by_digest else Unsaid(world.old)
    report = await verify_chat(old, world.new, world.progress, repair=repairer(world).run, options=OPTIONS)
    return {(d.key, d.field, d.old, d.new) for d in report.differences}, report.old, report.new


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(opened=st.booleans(), actions=st.lists(ACTIONS, max_size=8))
def test_a_verdict_by_digests_is_the_verdict_by_contents(opened, actions):
    async def go():
        world = ChatWorld(new=PickyChat(Side.NEW))
        for side in (world.old, world.new):
            await side.journal.remember(journal_open=opened)
        await world.old.put([legacy_session(f"s{n}", "a", "b") for n in range(3)])
        await put_chat(world.new.put, [change async for page in world.old.scan() for change in page.changes])
        for action in actions:
            try:
                await act(world, action)
            except ChatStoreError:
                continue
        assert await verdict(world, by_digest=True) == await verdict(world, by_digest=False)

    asyncio.run(go())

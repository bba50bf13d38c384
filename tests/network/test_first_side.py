"""A fault of the network before the side that is written first: the app is told in time, and may repeat the call."""

import time

import pytest

from chatstore.errors import UnavailableError
from tests.network.apps import SHORT, app, every_fault, first_of, user

SLACK = 2.0
"""Seconds that a busy machine may add."""


@pytest.mark.parametrize(("kind", "stage", "fault"), every_fault("first"))
async def test_a_call_ends_in_time_with_an_error_and_may_be_repeated(servers, kind, stage, fault):
    async with app(kind, stage, servers) as made:
        ann = user()
        key = await made.open(ann)
        await made.write(ann, key, "before")
        await made.break_by(first_of(stage), fault)
        begun = time.monotonic()
        with pytest.raises(UnavailableError, match=r"[Cc]heck that it runs|is it running|is it overloaded"):
            await made.write(ann, key, "meanwhile")
        # A document's write asks Chroma a few times, and gives up at the first that is not answered.
        assert time.monotonic() - begun < SHORT + SLACK
        with pytest.raises(UnavailableError):
            await made.read(ann, key)
        await made.mend(first_of(stage))
        await made.write(ann, key, "meanwhile")
        await made.write(ann, key, "after")
        expected = ["before", "meanwhile", "after"]
        assert await made.read(ann, key) == (expected if kind == "chat" else sorted(expected))
        await made.router.replicator.drain()
        # Of chats, the call whose answer was lost was done, so that repeating it had nothing to hand over; and of both, a
        # second side that is slow leaves a mark.
        await made.repair()
        if kind == "chat":
            assert await made.marks() == 0
        for side in (made.direct.old, made.direct.new):
            assert sorted(await made.read_from(side, ann, key)) == sorted(expected)

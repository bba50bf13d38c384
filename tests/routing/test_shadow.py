"""Shadow reads find what differs, cost the caller nothing, and never break a read."""

import asyncio

from chatstore.errors import UnavailableError
from chatstore.models import Kind, NewMessage, Side, Stage
from chatstore.routing import ShadowReader
from chatstore.routing.shadow import Mismatch, ShadowRead
from tests.routing.pair import chat_pair


def read_of(call):
    read = Mismatch("count_messages", "u", "s", "")
    return ShadowRead(read, Kind.CHAT, 1, Side.OLD, other=call, again=call, marked=call, seconds=0.001)


async def test_equal_answers_are_counted_and_a_difference_is_reported():
    found = []
    chat, _ = await chat_pair(Stage.SHADOW)
    chat.shadow._on_mismatch = found.append
    chat.shadow._pause = 0
    session = await chat.create_session("u", title="one")
    await chat.get_session("u", session.id)
    await chat.shadow.drain()
    assert (chat.shadow.counts.equal, found) == (1, [])
    await chat.sides.new.append("u", session.id, NewMessage("user", "by somebody who does not use the router"))
    await chat.messages("u", session.id)
    await chat.shadow.drain()
    [mismatch] = found
    assert (mismatch.operation, mismatch.user_id, mismatch.key) == ("messages", "u", session.id)
    assert mismatch.detail == "0 records on one side, 1 on the other"
    assert chat.shadow.counts.mismatched == 1


async def test_a_difference_that_a_mark_explains_is_no_mismatch():
    chat, _ = await chat_pair(Stage.SHADOW)
    chat.shadow._pause = 0
    chat.sides.new.broken = True
    session = await chat.create_session("u")
    await chat.get_session("u", session.id)
    await chat.shadow.drain()
    assert (chat.shadow.counts.pending, chat.shadow.counts.mismatched) == (1, 0)


async def test_the_caller_does_not_wait_and_too_many_are_dropped():
    never = asyncio.Event()

    async def hang():
        await never.wait()

    shadow = ShadowReader(cap=2, deadline=0.05)
    for _ in range(5):
        shadow.compare(lambda: read_of(hang))
    assert shadow.counts.dropped == 3
    await shadow.drain()
    assert shadow.counts.failed == 2


async def test_a_rate_of_nothing_compares_nothing():
    chat, _ = await chat_pair(Stage.SHADOW)
    chat.shadow._rate = 0.0
    session = await chat.create_session("u")
    await chat.get_session("u", session.id)
    await chat.shadow.drain()
    assert chat.shadow.counts.equal == 0


async def test_a_read_whose_other_side_fails_once_is_made_again_before_it_counts_as_failed():
    asked = []

    async def fails_at_first():
        asked.append(1)
        if len(asked) == 1:
            raise UnavailableError("at work")
        return 1

    async def fails():
        raise UnavailableError("away")

    shadow = ShadowReader(pause=0)
    for other in (fails_at_first, fails):
        shadow.compare(lambda other=other: read_of(other))
    await shadow.drain()
    assert (shadow.counts.equal, shadow.counts.failed, len(asked)) == (1, 1, 2)

"""The join in Postgres is the join that `ChatChange` defines: it agrees with the reference, whatever it is handed."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chatstore.errors import ConflictError
from chatstore.models import ChatChange, CreateSession, Message, MessageTombstone, NewMessage, Session, Side, new_id
from chatstore.testing import MemoryChat

START = datetime(2026, 11, 23, tzinfo=UTC)
PAST, FUTURE = START, datetime(2126, 11, 23, tzinfo=UTC)


def any_change(chance, name):
    """Return a change of the session `name` such as either side could have made, in a small space of versions."""

    def version():
        return chance.randrange(1, 12)

    def expiry():
        return chance.choice([None, None, None, PAST, FUTURE])

    session = None
    if chance.random() < 0.75:
        session = Session(
            id=name,
            user_id="u",
            title=str(at := version()),
            created_at=START,
            updated_at=START + timedelta(seconds=chance.randrange(5)),
            expires_at=expiry(),
            version=at,
            born=chance.randrange(at),
        )
    messages = tuple(
        Message(
            id=f"m{number}",
            session_id=name,
            user_id="u",
            position=number,
            role="user",
            content=str(at := version()),
            created_at=START,
            expires_at=expiry(),
            version=at,
        )
        for number in chance.sample(range(5), chance.randrange(4))
    )
    return ChatChange(
        session_id=name,
        user_id="u",
        session=session,
        deleted=0 if session is not None and chance.random() < 0.8 else version(),
        cleared=0 if chance.random() < 0.7 else version(),
        messages=messages,
        tombstones=tuple(MessageTombstone(f"m{n}", version()) for n in chance.sample(range(5), chance.randrange(2))),
    )


async def told(side, name):
    changes = [change async for page in side.fetch([name]) for change in page.changes]
    return [
        replace(change, tombstones=tuple(sorted(change.tombstones, key=lambda stone: stone.id))) for change in changes
    ]


async def created(side, name):
    """Create the session, and return whether it was there; and, if not, whether an earlier life of it was ended."""
    try:
        change = (await side.write(CreateSession(user_id="u", session_id=name, title="new"))).change
    except ConflictError:
        return None
    return change.deleted > 0


@pytest.mark.parametrize("seed", range(40))
async def test_the_join_agrees_with_the_reference(chat, seed):
    chance = random.Random(seed)
    name, memory = new_id(), MemoryChat(Side.NEW)
    for _ in range(6):
        change = any_change(chance, name)
        await memory.put([change])
        await chat.put([change])
        if chance.random() < 0.2:
            await asyncio.gather(memory.sweep(), chat.sweep())
        assert await told(chat, name) == await told(memory, name)
    assert await created(chat, name) == await created(memory, name)


@pytest.mark.parametrize("seed", range(10))
async def test_changes_put_at_once_are_as_changes_put_one_by_one(chat, seed):
    chance = random.Random(seed)
    name = new_id()
    version = iter(random.Random(seed).sample(range(1, 1000), 50))
    session = Session(id=name, user_id="u", title="", created_at=START, updated_at=START, version=500)
    changes = [
        ChatChange(
            session_id=name,
            user_id="u",
            session=session,
            messages=tuple(
                Message(
                    id=f"m{n}", session_id=name, user_id="u", position=n, role="user", content=str(at := next(version)),
                    created_at=START, version=at,
                )
                for n in chance.sample(range(4), 2)
            ),
        )
        for _ in range(5)
    ]  # fmt: skip
    memory = MemoryChat(Side.NEW)
    for change in changes:
        await memory.put([change])
    chance.shuffle(changes)
    await chat.put(changes)
    await chat.put(changes[:2])
    assert await told(chat, name) == await told(memory, name)


async def test_batches_that_meet_on_the_same_sessions_all_get_through(chat):
    names = [new_id() for _ in range(30)]

    async def put(number):
        order = random.Random(number).sample(names, len(names))
        await chat.put([
            ChatChange(
                session_id=name,
                user_id="u",
                session=Session(
                    id=name, user_id="u", title=str(number), created_at=START, updated_at=START, version=number
                ),
            )
            for name in order
        ])  # fmt: skip

    await asyncio.gather(*(put(number) for number in range(1, 13)))
    assert {(await chat.get_session("u", name)).title for name in names} == {"12"}


async def test_an_id_that_passed_to_another_user_is_put_in_the_order_given(chat):
    name = new_id()
    mine = Session(id=name, user_id="a", created_at=START, updated_at=START, version=2)
    theirs = replace(mine, user_id="b", version=6, born=6)
    await chat.put([
        ChatChange(session_id=name, user_id="a", session=mine),
        ChatChange(session_id=name, user_id="a", session=None, deleted=4, cleared=4),
        ChatChange(session_id=name, user_id="b", session=theirs, deleted=4, cleared=4),
    ])  # fmt: skip
    assert await chat.get_session("b", name) == theirs


async def test_long_messages_are_read_in_pages_that_a_request_can_carry(chat):
    user = new_id()
    session = await chat.create_session(user)
    wanted = [f"{number}" + "x" * 1_500_000 for number in range(6)]
    for content in wanted:
        await chat.append(user, session.id, NewMessage("user", content))
    assert [message.content for message in await chat.messages(user, session.id)] == wanted
    assert [message.content for message in await chat.last_messages(user, session.id, 5)] == wanted[1:]
    parts = [change async for page in chat.fetch([session.id]) for change in page.changes]
    assert [message.content for part in parts for message in part.messages] == wanted
    assert max(len(part.messages) for part in parts) < 5
    await chat.delete_session(user, session.id)


@pytest.mark.parametrize("field", ["metadata", "extra"])
async def test_what_postgres_stores_compressed_is_weighed_as_it_will_be_told(chat, field):
    name = new_id()
    session = Session(id=name, user_id="u", title="", created_at=START, updated_at=START, version=2)
    messages = tuple(
        Message(
            id=f"m{place}", session_id=name, user_id="u", position=place, role="tool", content="", created_at=START,
            version=2, **{field: {"log": "ab" * 500_000}},
        )
        for place in range(12)
    )  # fmt: skip
    await chat.put([ChatChange(session_id=name, user_id="u", session=session, messages=messages)])
    parts = [change async for page in chat.fetch([name]) for change in page.changes]
    assert [message for part in parts for message in part.messages] == list(messages)
    assert max(len(part.messages) for part in parts) <= 5
    assert await chat.messages("u", name) == list(messages)
    await chat.delete_session("u", name)

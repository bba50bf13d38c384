"""Every command's change carries all that the other side must know, whatever was done before it."""

import random
from datetime import timedelta

import pytest

from chatstore.errors import ConflictError, NotFoundError
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
    UpdateSession,
    new_id,
    utc_now,
)
from chatstore.testing import MemoryChat

PAST = utc_now() - timedelta(days=1)


def any_command(chance, user, name):
    """Return a command on the session `name`; its message ids come from a few, so that they meet."""
    on = {"user_id": user, "session_id": name}
    ids = [f"m{n}" for n in chance.sample(range(8), 2)]
    expiries = [None, None, None, PAST]
    messages = tuple(NewMessage("user", chance.choice("ab"), id=i, expires_at=chance.choice(expiries)) for i in ids)
    return chance.choice([
        CreateSession(**on, title=chance.choice("xy")),
        UpdateSession(**on, title=chance.choice("xy")),
        DeleteSession(**on),
        AppendMessages(**on, messages=messages),
        AppendMessages(**on, messages=messages),
        AppendMessages(**on, messages=messages[:1], replace=True),
        EditMessage(**on, message_id=ids[0], content=chance.choice("cd")),
        PopMessage(**on),
        DeleteMessages(**on, message_ids=tuple(ids)),
        ClearMessages(**on),
    ])  # fmt: skip


async def outcome(side, command):
    """Return what a command did as a caller sees it, but for the versions, which each side gives by its own clock."""
    try:
        written = await side.write(command)
    except (NotFoundError, ConflictError) as error:
        return type(error), None
    seen = [(message.id, message.content, message.position) for message in written.messages]
    title = None if written.session is None else written.session.title
    return (title, sorted(seen), written.change is None), written.change


async def told(side, name):
    return [
        (change.session, change.deleted, change.cleared, change.messages, sorted(change.tombstones, key=str))
        async for page in side.fetch([name])
        for change in page.changes
    ]


@pytest.mark.parametrize("seed", range(12))
async def test_commands_do_what_the_reference_does_and_their_changes_make_the_other_side_equal(chat, seed):
    chance, user, name = random.Random(seed), new_id(), new_id()
    reference, other = MemoryChat(Side.NEW), MemoryChat(Side.OLD)
    await chat.write(first := CreateSession(user_id=user, session_id=name, title="x"))
    await reference.write(first)
    changes = [change async for page in chat.fetch([name]) for change in page.changes]
    for _ in range(30):
        command = any_command(chance, user, name)
        seen, change = await outcome(chat, command)
        assert (command, seen) == (command, (await outcome(reference, command))[0])
        if change is not None:
            changes.append(change)
    chance.shuffle(changes)
    for change in changes:
        await other.put([change])
    assert await told(other, name) == await told(chat, name)

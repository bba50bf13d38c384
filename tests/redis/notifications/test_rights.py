"""A user with the rights of the router and of listening, and no other."""

import asyncio

import pytest

from chatstore.errors import ConfigurationError
from chatstore.redis import chat_layout, connect, document_layout, foreign_documents, foreign_sessions
from chatstore.redis.access import Purpose, acl_rules
from chatstore.redis.notifications import listening
from tests.redis.notifications.watching import watching

USER = "listener"
HASH = chat_layout("hash"), document_layout("hash")
RULES = acl_rules(Purpose.ROUTER, *HASH, database=1, notice=True)
LISTENING = [rule for rule in RULES if rule.startswith("&") or rule in ("+psubscribe", "+subscribe")]


@pytest.fixture
async def given(client, valkey):
    """A function that returns a client of a user with some rules."""

    async def user(rules):
        await client.execute_command("ACL", "SETUSER", USER, *rules, "on", ">secret")
        return connect(valkey.replace("://", f"://{USER}:secret@"))

    await client.execute_command("ACL", "LOG", "RESET")
    yield user
    await client.execute_command("ACL", "DELUSER", USER)


async def test_with_them_what_another_program_writes_is_noticed(given, client, app):
    async with (
        await given(RULES) as theirs,
        watching(foreign_sessions, theirs, HASH[0]) as sessions,
        watching(foreign_documents, theirs, HASH[1]) as documents,
    ):
        await app.session("one")
        assert await sessions.next() == ("ann", "one")
        await app.document("two")
        assert await documents.next() == ("ann", "two")
    assert await client.execute_command("ACL", "LOG") == []


@pytest.mark.parametrize("right", LISTENING)
async def test_without_one_of_them_it_is_said_which(given, right):
    async with await given([rule for rule in RULES if rule != right]) as theirs:
        with pytest.raises(ConfigurationError, match="ACL SETUSER") as caught:
            await refused(theirs)
    assert ("&<pattern>" if right.startswith("&") else right) in str(caught.value)


async def test_without_the_right_to_ask_whether_the_server_lives_a_silence_says_so(given):
    async with (
        await given([rule for rule in RULES if rule != "+ping"]) as theirs,
        listening(theirs, [HASH[0].prefix], enable=False) as listener,
    ):
        listener._heard_at -= 20
        await listener.event(0.1)
        with pytest.raises(ConfigurationError, match=r"\+ping"):
            await listener.event(5)


async def refused(client):
    """Listen as the watches do, but for their patience with whatever goes wrong."""
    async with asyncio.timeout(30):
        for watch in (foreign_sessions(client, HASH[0]), foreign_documents(client, HASH[1])):
            listening = asyncio.create_task(watch._listen())
            told = asyncio.create_task(watch.listening.wait())
            await asyncio.wait([listening, told], return_when=asyncio.FIRST_COMPLETED)
            listening.cancel()
            told.cancel()
            [outcome, _] = await asyncio.gather(listening, told, return_exceptions=True)
            if isinstance(outcome, Exception):
                raise outcome

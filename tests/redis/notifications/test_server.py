"""A server tells of writes where it is set so, and as long as the connection holds."""

import asyncio

import pytest

from chatstore.errors import UnavailableError, UnsupportedError
from chatstore.local.ports import free_port
from chatstore.redis import chat_layout, connect, document_layout, foreign_documents, foreign_sessions
from chatstore.redis.notifications import SETTING, listening
from tests.redis.notifications.watching import SOON


async def test_a_connection_that_is_lost_is_made_anew_and_the_gap_is_told(client, app, sessions, caplog):
    sessions.watch.listening.clear()
    await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    async with asyncio.timeout(SOON):
        await sessions.watch.listening.wait()
    assert "was not noticed: chatstore verify finds it" in caplog.text
    await app.session("later")
    assert await sessions.next() == ("ann", "later")


async def test_a_server_that_does_not_tell_is_named_with_what_to_set(client, app, monkeypatch):
    monkeypatch.setattr("chatstore.redis.notifications._PROBED_WITHIN", 0.2)
    await client.config_set(SETTING, "KEx$")
    with pytest.raises(UnsupportedError, match=f"{SETTING} to Kgh"):
        await foreign_sessions(client, chat_layout("hash")).watch()


async def test_a_server_is_made_to_tell_only_where_that_is_asked_for(client, valkey):
    await client.config_set(SETTING, "KEx$")
    async with listening(client, [b"session:"], enable=True):
        assert set((await client.config_get(SETTING))[SETTING]) == set("KEx$gh")
    await client.execute_command("ACL", "SETUSER", "limited", "on", ">secret", "~*", "&*", "+@all", "-config")
    async with connect(valkey.replace("//", "//limited:secret@")) as limited:
        with pytest.raises(UnsupportedError, match="cannot be changed from here"):
            await foreign_sessions(limited, chat_layout("hash"), enable=True).watch()


async def test_a_server_that_is_away_may_come_back_and_be_made_to_tell():
    async with connect(f"redis://127.0.0.1:{free_port()}") as client:
        with pytest.raises(UnavailableError):
            async with listening(client, [b"session:"], enable=True):
                pass


def test_the_layout_that_only_we_write_is_not_watched(client):
    assert foreign_sessions(client, chat_layout("chatstore")) is None
    assert foreign_documents(client, document_layout("chatstore")) is None

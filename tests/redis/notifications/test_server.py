"""A server tells of writes where it is set so, and as long as the connection holds."""

import asyncio
import re
from datetime import datetime

import pytest
from redis.asyncio.client import PubSub
from redis.exceptions import OutOfMemoryError

from chatstore.errors import UnavailableError, UnsupportedError
from chatstore.local.ports import free_port
from chatstore.models import utc_now
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


async def test_a_server_that_tells_of_much_else_at_the_time_is_not_taken_for_one_that_does_not(client, monkeypatch):
    monkeypatch.setattr("chatstore.redis.notifications._PROBED_WITHIN", 0.3)
    ask_all, get_message = client.ask_all, PubSub.get_message

    async def ask_all_after_others(commands):
        await ask_all([("HSET", f"session:{number}", "userId", "ann") for number in range(300)])
        return await ask_all(commands)

    async def get_slowly(*args, **kwargs):
        await asyncio.sleep(0.002)
        return await get_message(*args, **kwargs)

    monkeypatch.setattr(client, "ask_all", ask_all_after_others)
    monkeypatch.setattr(PubSub, "get_message", get_slowly)
    async with listening(client, [b"session:", b"other:"], enable=False) as listener, asyncio.timeout(SOON):
        assert [(await listener.event(1.0)).key for _ in range(300)] == [b"session:%d" % n for n in range(300)]


@pytest.mark.parametrize("said", ["nothing", "that it has no room"])
async def test_a_server_that_does_not_answer_just_now_is_asked_again(client, monkeypatch, said):
    monkeypatch.setattr("chatstore.redis.notifications._PROBED_WITHIN", 0.1)
    await client.config_set(SETTING, "KEx$")
    if said == "nothing":
        monkeypatch.setattr(PubSub, "ping", lambda _: asyncio.sleep(0))
    else:
        monkeypatch.setattr(client, "ask_all", lambda _: asyncio.sleep(0, [OutOfMemoryError(said)]))
    with pytest.raises(UnavailableError):
        async with listening(client, [b"session:"], enable=False):
            pass


async def test_the_gap_begins_when_the_server_was_last_heard(client, app, sessions, caplog):
    await app.session("heard")
    await sessions.next()
    sessions.watch.listening.clear()
    async with asyncio.timeout(SOON):
        heard = utc_now()
        await asyncio.sleep(1.1)  # what the log names is a whole second
        await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await sessions.watch.listening.wait()
    [gap] = re.findall("since (.*) UTC was not noticed", caplog.text)
    assert datetime.fromisoformat(f"{gap}+00:00") <= heard


async def test_a_defect_is_logged_with_its_traceback_once_and_ends_no_watch(client, app, sessions, caplog):
    owners = sessions.watch._owners

    async def broken(ids):
        if b"bad" in ids:
            raise ZeroDivisionError
        return await owners(ids)

    sessions.watch._owners = broken
    for name in ("bad", "good", "bad", "later"):
        await app.session(name)
        if name != "bad":
            assert await sessions.next() == ("ann", name)
    lines = [record for record in caplog.records if "b'bad' cannot be marked" in record.message]
    assert [bool(record.exc_info) for record in lines] == [True, False]

    def defective():
        del sessions.watch._attribution.close
        raise ZeroDivisionError

    sessions.watch.listening.clear()
    sessions.watch._attribution.close = defective
    await app.session("unheard")
    async with asyncio.timeout(SOON):
        await sessions.watch.listening.wait()
    await app.session("last")
    assert await sessions.next() == ("ann", "last")
    assert "not noticed for now: ZeroDivisionError()" in caplog.text


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

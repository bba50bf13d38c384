"""A session that only the app wrote is read by a short script: it tells what the protocol tells, whatever the app wrote."""

import json
import random

import pytest

from chatstore.models import NewMessage
from chatstore.redis import RedisChat, chat_layout

SESSIONS = 120

TIMES = [
    1_700_000_000_000,
    "1700000000000.5",
    "1700000000",
    "0",
    "-5",
    "",
    "2023-11-14T22:13:20Z",
    "9999999999999",
    "x",
]
METADATA = ["{}", "", '{"a": [1, 2]}', "{", "[1]", '{"a": "\\ud800"}', b'{"a": "\xff"}', "[" * 600 + "]" * 600]
LISTINGS = ["", "[]", "{}", "7", '["s-0","s-0"]', '["s-1","s-0"]', '["s-0",7]', '["s-0",""]', '["s-0"', '["nowhere"]']
CONTENTS = ["hello", "", b"\xff", "x" * 300_000, "\x00", "😀"]


class Careless:
    """An app whose sessions are right but for one or two things."""

    def __init__(self, client, rng):
        self.client, self.rng = client, rng

    async def write(self, app):
        ids = await app.conversation("s", self.rng.choice([0, 1, 3, 30]))
        keys = ["session:s", *(f"message:{one}" for one in ids)]
        for key in self.rng.sample(keys, min(len(keys), self.rng.choice([0, 1, 1, 2]))):
            await self.spoil(key)

    async def spoil(self, key):
        client, rng = self.client, self.rng
        fields = {
            "createdAt": TIMES,
            "updatedAt": TIMES,
            "metadata": METADATA,
            "content": CONTENTS,
            "title": CONTENTS,
            "messageIds": LISTINGS,
            "userId": ["", "bob", b"\xff"],
            "sessionId": ["", "t"],
            "role": ["", "tool"],
            b"\xff": ["a name"],
            "mine": ["kept", "createdAt", "sessionId"],
        }
        name = rng.choice(sorted(fields, key=str))
        await rng.choice(
            [
                *[lambda: client.hset(key, name, rng.choice(fields[name]))] * 6,
                lambda: client.hdel(key, name),
                lambda: client.expire(key, 1000),
                lambda: client.delete(key),
                lambda: client.ask_all([("DEL", key), ("SET", key, "text")]),
            ]
        )()


@pytest.fixture(autouse=True)
def also_of_one_session(monkeypatch):
    monkeypatch.setattr("chatstore.redis.session_scan._FEW", 0)


@pytest.fixture
def by_protocol(client):
    layout = chat_layout("hash")
    layout.bare = ""
    return RedisChat(client, layout)


async def told(chat):
    """Return all that a migration is told of the session, and the fingerprint that it asks for."""
    pages = [page async for page in chat.fetch(["s"])]
    changes = [change for page in pages for change in page.changes]
    bad = [(record.key, record.reason, record.raw) for page in pages for record in page.quarantined]
    return changes, bad, dict(await chat.fingerprints(["s"]))


@pytest.fixture
def understood(chat, monkeypatch):
    """Of which sessions the short script told all, in the order of reading, and whether that was understood."""
    made, original = [], chat._layout.bare_reply

    def reply(session_id, parts):
        answer = original(session_id, parts)
        made.append(answer is not None)
        return answer

    monkeypatch.setattr(chat._layout, "bare_reply", reply)
    return made


async def test_whatever_an_app_wrote_the_short_script_tells_what_the_protocol_tells(
    app, client, chat, by_protocol, understood
):
    rng = random.Random(7)
    for _ in range(SESSIONS):
        await client.flushdb()
        await Careless(client, rng).write(app)
        assert await told(chat) == await told(by_protocol)
    assert understood.count(True) > SESSIONS / 4
    assert understood.count(False) > SESSIONS / 50
    assert SESSIONS - len(understood) > SESSIONS / 10


async def test_of_a_session_that_chatstore_wrote_the_ledger_is_read(app, chat, by_protocol, understood):
    await app.conversation("s", 3)
    await told(chat)
    assert understood == [True]
    await chat.append("ann", "s", NewMessage("user", "more"))
    [change], _, _ = await told(chat)
    assert understood == [True]
    assert [message.version > 0 for message in change.messages] == [False] * 3 + [True]
    assert await told(chat) == await told(by_protocol)


async def test_sessions_of_both_sorts_are_told_together(app, chat, by_protocol, scanned):
    for number in range(100):
        await app.conversation(f"s{number}", number % 4)
        if number % 3 == 0:
            await chat.append("ann", f"s{number}", NewMessage("user", "more", metadata={"a": json.dumps([number])}))
    changes, bad = await scanned(chat)
    assert bad == []
    assert sorted(changes, key=lambda one: one.session_id) == sorted(
        (await scanned(by_protocol))[0], key=lambda one: one.session_id
    )
    assert len(changes) == 100

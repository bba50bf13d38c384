"""A fingerprint says that nothing that is read of a session has changed: whatever another program did to its keys."""

import json
import random
import re
from datetime import timedelta

import pytest

from chatstore.errors import UnavailableError
from chatstore.models import NewMessage, utc_now
from chatstore.ownership import SoleOwner
from chatstore.ownership.users import MappedUsers
from chatstore.redis import RedisChat, chat_layout

STEPS = 40
LAYOUTS = ("hash", "chatstore", "langchain", "openai-agents", "vercel-kv")


async def told(chat, session="s"):
    """Return all that is read of a session, and the fingerprint that came with it."""
    pages = [page async for page in chat.fetch([session])]
    changes = [change for page in pages for change in page.changes]
    bad = [(record.key, record.reason, record.raw) for page in pages for record in page.quarantined]
    return (changes, bad), (changes[0].fingerprint if len(changes) == 1 else None)


async def fingerprint(chat, session="s"):
    return (await chat.fingerprints([session])).get(session)


class Vandal:
    """Another program that changes something about a session: a field, an item, a place in an order, an expiry."""

    def __init__(self, client, rng):
        self.client, self.rng = client, rng

    async def act(self):
        keys = sorted([key async for key in self.client.scan_iter("*") if not self.is_none_of_its(key)])
        if not keys:
            return
        key = self.rng.choice(keys)
        if self.rng.random() < 0.15:
            await self.rng.choice([self.expire, self.client.persist, self.client.delete])(key)
            return
        kind = (await self.client.ask("TYPE", key)).decode()
        await getattr(self, kind)(key)

    def is_none_of_its(self, key):
        return any(part in key for part in (b"index", b"{chat}", b"building"))

    async def expire(self, key):
        await self.client.expire(key, self.rng.choice([1000, 2000]))

    async def hash(self, key):
        fields = sorted(await self.client.ask("HKEYS", key))
        name = self.rng.choice(fields)
        held = await self.client.hget(key, name)
        if self.rng.random() < 0.2:
            await self.client.hdel(key, name)
        elif key.startswith(b"chatstore:chat:") and b":header:" not in key and b":companion:" not in key:
            # The ledger's own numbers: other ones, but numbers.
            await self.client.hset(key, name, re.sub(rb"^\d+", lambda n: b"%d" % (int(n[0]) + 2), held))
        else:
            changed = [held[:-1] + b"7", b"1700000000123", b'["s-a","s-b"]', b'{"a":1}', held]
            await self.client.hset(key, self.rng.choice([name, b"new"]), self.rng.choice(changed))

    async def list(self, key):
        item = json.dumps({"type": "human", "data": {"content": str(self.rng.random())}})
        await self.rng.choice(
            [
                lambda: self.client.lpush(key, item),
                lambda: self.client.rpop(key),
                lambda: self.client.lset(key, 0, item),
            ]
        )()

    async def zset(self, key):
        [name, *_] = await self.client.ask("ZRANGE", key, 0, 0)
        await self.rng.choice([lambda: self.client.zincrby(key, 1, name), lambda: self.client.zrem(key, name)])()

    async def string(self, key):
        await self.client.set(key, str(self.rng.random()))


async def begin(client, chat, rng):
    """Leave one session of some messages, of which some were edited and deleted."""
    await client.flushdb()
    await chat.create_session("ann", session_id="s", title="a title", metadata={"a": 1})
    messages = [NewMessage("user", f"text {i}", id=f"s-{i}") for i in range(rng.randint(2, 6))]
    await chat.append("ann", "s", messages)
    ids = [message.id for message in await chat.messages("ann", "s")]
    if rng.random() < 0.5:
        await chat.edit_message("ann", "s", ids[0], content="edited")
    if rng.random() < 0.5:
        await chat.delete_messages("ann", "s", ids[-1:])
    if rng.random() < 0.3:
        # As one that chatstore never wrote.
        await client.ask_all(("DEL", key) for key in [key async for key in client.scan_iter("chatstore:chat:*:{*")])


async def dumped(client):
    """Return all that there is, and when it expires."""
    keys = [key async for key in client.scan_iter("*")]
    return [(key, await client.ask("PEXPIRETIME", key), await client.ask("DUMP", key)) for key in keys]


async def restored(client, held):
    await client.flushdb()
    await client.ask_all(("RESTORE", key, max(at, 0), value, "ABSTTL") for key, at, value in held)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("number", range(2))
async def test_what_is_read_is_the_same_as_long_as_the_fingerprint_is(client, name, number):
    rng = random.Random(f"{name} {number}")
    chat = RedisChat(client, chat_layout(name, owners=SoleOwner("ann")))
    vandal = Vandal(client, rng)
    compared = 0
    for step in range(STEPS):
        if step % 10 == 0:
            await begin(client, chat, rng)
        before, given = await told(chat)
        assert given == await fingerprint(chat)
        held = await dumped(client)
        for _ in range(rng.randint(1, 2)):
            await vandal.act()
        now = await fingerprint(chat)
        try:
            after, _ = await told(chat)
        except UnavailableError:
            # What it did to the ledger no script can make sense of.
            after = None
        if given is not None and after != before:
            compared += 1
            assert now != given
        await restored(client, held)
        # The fingerprint may be another one by now: what was restored may lie in another order.
        assert (await told(chat))[0] == before
    assert compared > STEPS / 5
    await chat.close()


async def test_none_is_told_of_a_session_that_is_not_there(chat, app):
    await app.conversation("s", 2)
    assert set(await chat.fingerprints(["s", "nowhere"])) == {"s"}


async def test_another_mapping_of_users_makes_another_fingerprint(client, app):
    await app.conversation("s", 2)
    layout = chat_layout("hash")
    sides = [RedisChat(client, layout, MappedUsers({"ann": new})) for new in ("ann", "anna")]
    of_ann, of_anna = [await fingerprint(side) for side in sides]
    assert of_ann != of_anna
    assert await fingerprint(RedisChat(client, layout, MappedUsers({"bob": "bob"}))) is None


async def test_none_is_told_of_a_session_of_which_something_cannot_be_read(chat, app):
    [first, _] = await app.conversation("s", 2)
    await app.message(first, "s", metadata="{")
    (_, bad), given = await told(chat)
    assert (len(bad), given) == (1, None)


async def test_none_is_told_where_a_message_expires_by_the_ledger_alone(client):
    chat = RedisChat(client, chat_layout("chatstore"))
    await chat.create_session("ann", session_id="s")
    await chat.append("ann", "s", NewMessage("user", "x", expires_at=utc_now() + timedelta(hours=1)))
    assert (await told(chat))[1] is None
    assert await chat.fingerprints(["s"]) == {}


async def test_none_comes_with_a_session_that_is_read_in_parts(chat, app):
    await app.conversation("s", 1001)
    pages = [page async for page in chat.fetch(["s"])]
    assert [change.fingerprint for page in pages for change in page.changes] == [None, None]

"""Whatever a message holds comes back as it was, or is refused with what was found; its neighbours never change."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatstore.models import NewMessage, Side
from chatstore.ownership import load_owners
from chatstore.redis import RedisChat, chat_layout, connect
from chatstore.testing import MemoryChat
from tests.redis.keyed.conftest import APPS, BEGUN
from tests.redis.keyed.index import make_index

EXAMPLES = settings(max_examples=40, deadline=None)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
NAMES = (
    st.sampled_from(["a", "role", "type", "json", "item", "name", "timestamp", "content", "metadata", "é\0", ""])
    | TEXTS
)
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
TIMES = st.floats(0, 100_000) | st.integers(0, 100_000).map(float) | st.sampled_from([0.25, 1.0, 1e-6])
KINDS = st.sampled_from(["human", "ai", "system", "tool", "function", "chat", "oracle", "AIMessageChunk"])
LANGCHAIN = st.fixed_dictionaries(
    {
        "type": KINDS,
        "data": st.fixed_dictionaries(
            {"content": JSON},
            optional={
                "additional_kwargs": st.dictionaries(NAMES, JSON, max_size=2),
                "type": KINDS,
                "tool_call_id": TEXTS,
                "status": st.sampled_from(["success", "error"]),
                "role": TEXTS,
                "unknown": JSON,
            },
        ),
    },
    optional={"unknown": JSON, "message_id": TEXTS | st.none()},
)
METADATA = st.dictionaries(NAMES, JSON, max_size=3)
REDISVL = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "llm", "assistant", "system", "tool", "oracle"]), "content": TEXTS},
    optional={
        "metadata": METADATA.map(json.dumps)
        | METADATA.map(lambda found: json.dumps(found, indent=1))
        | JSON.map(json.dumps)
        | TEXTS,
        "tool_call_id": TEXTS,
        "entry_id": TEXTS,
        "vector_field": st.binary(max_size=16),
        "unknown": TEXTS | st.binary(max_size=4),
        "session": TEXTS,
        "id": TEXTS,
    },
)
MESSAGES = {"langchain-redis": LANGCHAIN, "redisvl": REDISVL}


class World:
    """A Redis with an index, an app and a store, made anew for each example."""

    def __init__(self, name, client):
        self.layout = chat_layout(name, owners=load_owners("all:ann"))
        self.client = client
        self.app = APPS[name](client)

    async def begin(self):
        await self.client.flushall()
        await make_index(self.client, self.layout)
        self.chat = RedisChat(self.client, self.layout)

    async def write(self, session, name, time, fields):
        *_, given = self.app.write_command(session, name, time)
        if self.layout.name == "redisvl":
            base = self.app.fields(session, name, time, "")
            await self.client.hset(self.app.key(session, name), mapping={**base, **fields})
        else:
            document = {**json.loads(given), **fields, "timestamp": BEGUN + time}
            await self.client.execute_command("JSON.SET", self.app.key(session, name), "$", json.dumps(document))

    async def raw(self):
        return {key: await self.app.raw(key) async for key in self.client.scan_iter("chat:*")}

    async def scanned(self):
        changes, bad = [], []
        async for page in self.chat.scan():
            changes += page.changes
            bad += page.quarantined
        return changes, bad


def in_a_world(name, url, test):
    async def run():
        async with connect(url) as client:
            world = World(name, client)
            await world.begin()
            await test(world)

    asyncio.run(run())


@pytest.fixture(params=list(MESSAGES))
def name(request):
    return request.param


def by_jsonb(value):
    """Return a value with its members in the order that a jsonb column gives them back in."""
    if isinstance(value, Mapping):
        return {key: by_jsonb(value[key]) for key in sorted(value, key=lambda key: (len(key.encode()), key.encode()))}
    return [by_jsonb(one) for one in value] if isinstance(value, list | tuple) else value


def test_every_value_comes_back_from_the_other_side_as_it_was(name, search_redis):
    @EXAMPLES
    @given(st.lists(st.tuples(TIMES, MESSAGES[name]), min_size=1, max_size=4))
    def check(messages):
        async def there_and_back(world):
            for place, (time, fields) in enumerate(messages):
                await world.write("s", f"m{place}", time, fields)
            before = await world.raw()
            changes, bad = await world.scanned()
            assert bad == []
            assert sum(len(change.messages) for change in changes) == len(messages)
            memory = MemoryChat(Side.NEW)
            await memory.put(changes)
            held = [change async for page in memory.scan() for change in page.changes]
            moved = [
                replace(
                    change,
                    messages=tuple(
                        replace(one, extra=by_jsonb(one.extra), metadata=by_jsonb(one.metadata))
                        for one in change.messages
                    ),
                )
                for change in held
            ]
            await world.begin()
            await world.chat.put(moved)
            assert await world.raw() == before
            again, _ = await world.scanned()
            assert [change.messages for change in again] == [change.messages for change in moved]

        in_a_world(name, search_redis, there_and_back)

    check()


DEEP = "[" * 110 + "]" * 110
NO_TIME = ["soon", "", None, [1], {}, True, -5, 1e300, 10**17, "2023-02-30T00:00:00Z"]
BAD_JSON = st.sampled_from(
    [
        *({"timestamp": time} for time in NO_TIME),
        *({"session_id": session} for session in (None, 5, ["s"], {}, "", "other", "S", "s ", "s,t")),
        *({"type": kind} for kind in (None, "", 5, ["human"])),
        *({"data": data} for data in (None, [], "text", {}, {"text": "no content"})),
        {"data": {"content": json.loads(DEEP)}},
        *({"without": name} for name in ("type", "data", "session_id", "timestamp")),
    ]
)
BAD_HASH = st.sampled_from(
    [
        *({"timestamp": time} for time in ("soon", "", "nan", "inf", "0x10", " 5", "-5", "1e400", "1,5", b"\xff")),
        *({"session_tag": session} for session in ("", "other", "S", "s ", "s,t", b"\xff")),
        *({"role": role} for role in ("", b"\xff")),
        {"content": b"\xff\xfe"},
        {"metadata": b"\xff"},
        {b"\xff": "a field's name"},
        *({"without": name} for name in ("role", "content", "session_tag", "timestamp")),
    ]
)
BAD = {"langchain-redis": BAD_JSON, "redisvl": BAD_HASH}


async def write_bad(world, session, name, bad):
    key, without = world.app.key(session, name), bad.get("without")
    if world.layout.name == "redisvl":
        await world.client.hset(key, mapping={**world.app.fields(session, name, 1.5, "bad"), **bad})
        await world.client.hdel(key, "without", without or "without")
    else:
        document = {**world.app.fields(session, name, 1.5, "bad"), **bad}
        held = {field: value for field, value in document.items() if field not in {"without", without}}
        await world.client.execute_command("JSON.SET", key, "$", json.dumps(held))


def test_what_no_layout_promises_is_quarantined_alone(name, search_redis):
    @EXAMPLES
    @given(st.lists(BAD[name], min_size=1, max_size=3))
    def check(bad):
        async def quarantined(world):
            for session in ("s", "good"):
                for place in range(3):
                    await world.client.ask(*world.app.write_command(session, f"m{place}", place, content=str(place)))
            for place, each in enumerate(bad):
                await write_bad(world, "s", f"bad{place}", each)
            before = await world.raw()
            for _ in range(2):
                changes, found = await world.scanned()
                assert {record.key for record in found} == {f"chat:s:bad{place}" for place in range(len(bad))}
                assert all(record.reason and record.raw for record in found)
                contents = {change.session_id: [one.content for one in change.messages] for change in changes}
                assert contents == {"s": ["0", "1", "2"], "good": ["0", "1", "2"]}
                assert [one.content for one in await world.chat.messages("ann", "s")] == ["0", "1", "2"]
                assert await world.raw() == before
            ours = await world.chat.append("ann", "s", [NewMessage("user", "ours", id="ours")])
            assert await world.chat.last_messages("ann", "s", 1) == ours
            await world.chat.clear_messages("ann", "good")
            left = {key: value for key, value in (await world.raw()).items() if not key.endswith(b":ours")}
            assert left == {key: value for key, value in before.items() if b":good:" not in key}

        in_a_world(name, search_redis, quarantined)

    check()


async def test_a_session_whose_id_is_no_text_is_quarantined(client, layout, chat, app, scanned):
    if layout.name == "langchain-redis":
        pytest.skip("RedisJSON holds no other texts than UTF-8")
    await client.hset(b"chat:\xff:m", mapping={**app.fields("", "m", 0, "x"), "session_tag": b"\xff"})
    await app.write("s", 1)
    [change], [bad] = await scanned(chat)
    assert (change.session_id, bad.key) == ("s", "chat:\\xff")


async def test_a_message_of_ten_megabytes_goes_through(app, chat, scanned):
    text = "naïve \\ \n 🦊" * 700_000
    await app.client.ask(*app.write_command("s", "m", 0, content=text))
    await chat.append("ann", "s", NewMessage("user", text, id="ours"))
    changes, bad = await scanned(chat)
    assert [one.content == text for change in changes for one in change.messages] == [True, True]
    assert bad == []

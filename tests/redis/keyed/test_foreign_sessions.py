"""Sessions whose messages another program wrote, each under a key of its own."""

import asyncio
import json
from datetime import timedelta

import pytest

from chatstore.errors import ConfigurationError, NotFoundError
from chatstore.models import NewMessage, from_micros, utc_now
from chatstore.redis import RedisChat, chat_layout
from tests.redis.keyed.conftest import BEGUN


def ids(messages):
    return [message.id for message in messages]


async def scanned_ids(scanned, chat):
    changes, bad = await scanned(chat)
    found = {}
    for change in changes:
        found.setdefault(change.session_id, []).extend(ids(change.messages))
    return found, bad


async def test_a_session_is_read_in_the_order_of_its_timestamps(app, chat):
    for name, time in (("c", 0.5), ("a", 2.25), ("b", 1), ("e", 3), ("d", 3)):
        await app.client.ask(*app.write_command("s", name, time, content=name))
    messages = await chat.messages("ann", "s")
    assert [(m.id, m.position, m.content, m.role) for m in messages] == [
        (name, place, name, "user") for place, name in enumerate("cbade")
    ]
    assert messages[2].created_at == from_micros(BEGUN * 1_000_000 + 2_250_000)
    session = await chat.get_session("ann", "s")
    assert (session.created_at, session.updated_at) == (messages[0].created_at, messages[-1].created_at)
    assert ids(await chat.last_messages("ann", "s", 2)) == ["d", "e"]
    assert await chat.count_messages("ann", "s") == 5
    with pytest.raises(NotFoundError):
        await chat.get_session("bob", "s")


async def test_what_the_framework_adds_is_there_at_the_next_call(app, chat, scanned):
    await app.write("s", 3)
    await scanned(chat)
    version = (await chat.get_session("ann", "s")).version
    await app.write("s", 2, first=3)
    assert [m.position for m in await chat.messages("ann", "s")] == [0, 1, 2, 3, 4]
    await chat.append("ann", "s", NewMessage("assistant", "ours", id="ours"))
    await app.client.ask(*app.write_command("s", "theirs", utc_now().timestamp() - BEGUN + 5))
    assert ids(await chat.messages("ann", "s"))[-2:] == ["ours", "theirs"]
    session = await chat.get_session("ann", "s")
    assert session.version > version
    assert await chat.get_session("ann", "s") == session


async def test_what_the_framework_deletes_is_a_deletion_and_moves_no_other(app, chat, scanned):
    names = await app.write("s", 4)
    await scanned(chat)
    await app.client.delete(app.key("s", names[1]))
    assert [(m.id, m.position) for m in await chat.messages("ann", "s")] == [
        (names[place], place) for place in (0, 2, 3)
    ]
    [change], _ = await scanned(chat)
    assert [tombstone.id for tombstone in change.tombstones] == [names[1]]


async def test_each_session_comes_once_in_a_scan_however_many_keys_it_has(app, chat, scanned):
    for number in range(40):
        await app.write(f"s{number}", 60)
    found, bad = await scanned_ids(scanned, chat)
    changes, _ = await scanned(chat)
    assert (len(found), {len(names) for names in found.values()}, bad) == (40, {60}, [])
    assert len(changes) == 40
    count = await chat.count()
    assert (count.sessions, count.messages) == (40, 2400)
    assert not [key async for key in app.client.scan_iter("chatstore:*:seen:*")]


async def test_a_walk_that_goes_on_elsewhere_misses_nothing(app, chat):
    for number in range(600):
        await app.write(f"s{number}", 2)
    await chat.create_session("ann", session_id="empty")
    seen, cursor, rounds = set(), None, 0
    while cursor is not None or not rounds:
        walk = chat.keys(cursor)
        page = await anext(walk)
        await walk.aclose()
        seen |= set(page.keys)
        cursor, rounds = page.cursor, rounds + 1
    assert seen == {"empty", *(f"s{number}" for number in range(600))}
    assert rounds > 4


NAMES = [
    "s",
    "S",
    "É",
    "é",
    "a,b",
    "a",
    "b",
    " s ",
    ",",
    " ",
    "*",
    "?",
    "[a-z]",
    "{tag}",
    "a}",
    '"',
    "\\",
    "$t1",
    "@session_id:{s}",
    "x|y",
    "nul",
    "nul\0more",
    "a:b",
    "a:b:c",
    "line\r\nbreak",
    "../x",
    "null",
    "1",
    "y" * 1000,
    "Y" * 1000,
    "茶",
]


async def test_ids_that_the_search_index_takes_for_others_are_kept_apart(app, chat, scanned):
    for name in NAMES:
        await app.client.ask_all([app.write_command(name, f"m{i}", i, content=f"{name} {i}") for i in range(2)])
    found, bad = await scanned_ids(scanned, chat)
    assert (found, bad) == ({name: ["m0", "m1"] for name in NAMES}, [])
    for name in NAMES:
        await chat.append("ann", name, NewMessage("user", "ours", id="ours"))
        assert [m.content for m in await chat.messages("ann", name)] == [f"{name} 0", f"{name} 1", "ours"]
    assert await chat.delete_session("ann", "s")
    assert set((await scanned_ids(scanned, chat))[0]) == set(NAMES) - {"s"}


async def test_a_message_that_the_search_index_refuses_is_found_by_its_key(app, chat, layout, scanned):
    if layout.name == "redisvl":
        schema = "session_tag TAG timestamp NUMERIC tool_call_id NUMERIC"
        await app.client.ask("FT.DROPINDEX", "chat")
        await app.client.ask("FT.CREATE", "chat", "ON", "HASH", "PREFIX", 1, "chat", "SCHEMA", *schema.split())
    await app.write("s", 2)
    await app.client.ask(*app.write_command("s", "m00000b", 0.5, **app.refused()))
    assert ids(await chat.messages("ann", "s")) == ["m00000", "m00001"]
    found, bad = await scanned_ids(scanned, chat)
    assert (found["s"][-3:], bad) == (["m00000", "m00000b", "m00001"], [])
    assert ids(await chat.messages("ann", "s")) == ["m00000", "m00000b", "m00001"]
    again, _ = await scanned(chat)
    assert len(again) == 1
    await app.write("s", 1, first=2)
    assert ids(await chat.messages("ann", "s")) == ["m00000", "m00000b", "m00001", "m00002"]
    await app.client.delete(app.key("s", "m00000b"))
    await app.write("s", 1, first=3)
    assert ids(await chat.messages("ann", "s")) == ["m00000", "m00001", "m00002", "m00003"]


async def test_our_own_messages_are_in_the_frameworks_order(app, chat):
    await app.client.ask(*app.write_command("s", "from the future", 10_000_000_000, content="0"))
    early = from_micros(1_000_000)
    new = [NewMessage("user", str(place), id=f"id{9 - place}", created_at=early) for place in range(1, 6)]
    for message in new[:3]:
        await chat.append("ann", "s", message)
    await chat.append("ann", "s", new[3:])
    messages = await chat.messages("ann", "s")
    assert [m.content for m in messages] == list("012345")
    assert {m.created_at for m in messages[1:]} == {early}
    assert all(m.extra == {} for m in messages)
    times = [await app.time_of(app.key("s", m.id)) for m in messages]
    assert times == sorted(set(times))
    await chat.edit_message("ann", "s", "id7", content="edited")
    assert times == [await app.time_of(app.key("s", m.id)) for m in messages]
    assert await chat.append("ann", "s", new[0]) == [messages[1]]


async def test_a_session_of_more_messages_than_a_search_gives(app, chat, scanned):
    names = await app.write("long", 12_000)
    found, bad = await scanned_ids(scanned, chat)
    assert (found["long"] == names, bad) == (True, [])
    assert ids(await chat.last_messages("ann", "long", 3)) == names[-3:]
    await app.write("long", 1, first=12_000)
    await chat.append("ann", "long", NewMessage("user", "ours", id="ours"))
    assert ids(await chat.last_messages("ann", "long", 3)) == [names[-1], "m12000", "ours"]
    assert await chat.count_messages("ann", "long") == 12_002


async def test_messages_expire_one_by_one_and_that_is_no_deletion(app, chat, scanned, memory):
    names = await app.write("s", 3)
    soon = utc_now() + timedelta(milliseconds=700)
    for name in names[:2]:
        await app.client.pexpireat(app.key("s", name), soon)
    [change], _ = await scanned(chat)
    await memory.put([change])
    held = [m.expires_at and round(m.expires_at.timestamp(), 3) for m in change.messages]
    assert held == [pytest.approx(soon.timestamp(), abs=0.001)] * 2 + [None]
    await asyncio.sleep(0.8)
    assert ids(await chat.messages("ann", "s")) == names[2:] == ids(await memory.messages("ann", "s"))
    await chat.append("ann", "s", NewMessage("user", "ours", id="ours"))
    [change], bad = await scanned(chat)
    assert (ids(change.messages), change.tombstones, bad) == ([names[2], "ours"], (), [])
    assert await chat.count_messages("ann", "s") == 2


async def test_a_session_whose_messages_have_all_expired_is_gone(app, chat, scanned):
    [name] = await app.write("s", 1)
    soon = utc_now() + timedelta(milliseconds=300)
    await app.client.pexpireat(app.key("s", name), soon)
    [change], _ = await scanned(chat)
    assert change.session.expires_at is None
    await asyncio.sleep(0.4)
    with pytest.raises(NotFoundError):
        await chat.get_session("ann", "s")
    assert await scanned(chat) == ([], [])


async def test_a_session_with_a_title_of_ours_outlives_its_messages(app, chat, scanned):
    [name] = await app.write("s", 1)
    await app.client.pexpireat(app.key("s", name), utc_now() + timedelta(milliseconds=300))
    await scanned(chat)
    titled = await chat.update_session("ann", "s", title="kept")
    await asyncio.sleep(0.4)
    assert await chat.get_session("ann", "s") == titled
    assert (titled.expires_at, await chat.messages("ann", "s")) == (None, [])


async def test_a_session_that_the_framework_clears_is_empty_and_not_gone(app, chat, scanned):
    names = await app.write("s", 3)
    await scanned(chat)
    await app.client.delete(*(app.key("s", name) for name in names))
    [change], bad = await scanned(chat)
    assert (change.messages, sorted(one.id for one in change.tombstones), bad) == ((), names, [])


async def test_the_expiry_of_a_message_and_of_a_session_of_ours_is_the_keys(app, chat):
    late = utc_now().replace(microsecond=0) + timedelta(hours=2)
    await chat.create_session("ann", session_id="s", expires_at=late)
    early = late - timedelta(hours=1)
    await chat.append("ann", "s", [NewMessage("user", "a", id="a"), NewMessage("user", "b", id="b", expires_at=early)])
    expiries = [await app.client.expiretime(app.key("s", name)) for name in "ab"]
    assert expiries == [late.timestamp(), early.timestamp()]
    assert [m.expires_at for m in await chat.messages("ann", "s")] == [None, early]
    assert (await chat.get_session("ann", "s")).expires_at == late
    await chat.edit_message("ann", "s", "b", content="edited")
    assert await app.client.expiretime(app.key("s", "b")) == early.timestamp()


async def test_a_missing_index_is_said_with_the_setting(app, chat, layout):
    await app.write("s", 1)
    other = RedisChat(app.client, chat_layout(layout.name, prefix="chat:", index="another name"))
    for call in (other.get_session("ann", "s"), other.create_session("ann", session_id="s"), anext(other.scan())):
        with pytest.raises(ConfigurationError, match=r"another name.*CHATSTORE_CHAT_INDEX"):
            await call
    assert await app.raw(app.key("s", "m00000")) is not None


async def test_keys_of_others_are_passed_over_and_not_touched(app, chat, scanned):
    await app.write("s", 1)
    await app.client.hset("chat:vercel", mapping={"id": "vercel", "userId": "bob", "messages": "[]"})
    await app.client.set("chat:s:text", "x")
    await app.client.ask("JSON.SET", "chat:other:doc", "$", json.dumps({"anything": 1}))
    found, bad = await scanned_ids(scanned, chat)
    assert (found, bad) == ({"s": ["m00000"]}, [])
    await chat.create_session("ann", session_id="vercel", expires_at=utc_now() + timedelta(hours=1))
    await chat.delete_session("ann", "vercel")
    assert await app.client.ttl("chat:vercel") == -1
    assert await app.client.hget("chat:vercel", "userId") == b"bob"

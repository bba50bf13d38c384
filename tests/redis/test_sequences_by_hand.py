"""Sessions without ids: what another program may do to them, case by case, and what becomes of ids, times and expiry."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import redis

from chatstore.errors import ConflictError, NotFoundError
from chatstore.models import (
    AppendMessages,
    ChatChange,
    EditMessage,
    Kind,
    MessageTombstone,
    NewMessage,
    Side,
    from_micros,
    utc_now,
)
from chatstore.ownership import SoleOwner
from chatstore.redis import RedisChat, chat_layout
from chatstore.redis.keys import JournalKeys
from chatstore.redis.scripts import run
from chatstore.redis.session_calls import SessionCalls
from chatstore.testing import MemoryChat
from tests.redis.sequences import SEQUENCES, SESSION, USER

LISTS = ["langchain", "llamaindex", "openai-agents"]


@pytest.fixture
def other(redis_database, request):
    """Another program, over the sessions of a layout."""
    with redis.Redis.from_url(redis_database) as connection:
        yield SEQUENCES[request.param](connection)


@pytest.fixture
async def chat(client, other):
    store = RedisChat(client, other.layout)
    yield store
    await store.close()


def over(*names):
    return pytest.mark.parametrize("other", names, indirect=True)


@pytest.fixture
def only(scanned):
    """A function that scans a side that holds one session."""

    async def scan(chat):
        changes, bad = await scanned(chat)
        assert bad == []
        parts = [change for change in changes if change.session_id == SESSION]
        return ChatChange(
            session_id=SESSION,
            user_id=USER,
            session=parts[0].session,
            deleted=parts[0].deleted,
            cleared=parts[0].cleared,
            messages=tuple(message for part in parts for message in part.messages),
            tombstones=tuple({one.id: one for part in parts for one in part.tombstones}.values()),
        )

    return scan


def contents(change):
    return [message.content for message in change.messages]


@over("langchain", "llamaindex")
async def test_a_message_is_not_taken_for_its_neighbour_where_another_program_changed_the_middle(other, chat, only):
    # Neither the length nor the two hundred items at either end tell that one is gone.
    other.push(*(other.item(f"m{number}" if number < 500 else "ok") for number in range(1000)))
    ids = {message.content: message.id for message in (await only(chat)).messages}

    def change(gone):
        other.remove(other.item(gone))
        other.push(other.item("ok"))

    change("m300")
    await chat.delete_messages(USER, SESSION, [ids["m400"]])
    change("m310")
    await chat.edit_message(USER, SESSION, ids["m450"], content="edited")
    expected = [f"m{number}" for number in range(500) if number not in {300, 310, 400}]
    expected[expected.index("m450")] = "edited"
    assert contents(await only(chat)) == expected + 502 * ["ok"]


@over(*LISTS)
async def test_an_edit_in_the_middle_of_a_long_list_is_found_by_a_scan(other, chat, only):
    other.push(*(other.item(f"{number}") for number in range(1500)))
    before = await only(chat)
    other.set(700, other.item("edited"))
    after = await only(chat)
    assert contents(after) == [*map(str, range(700)), "edited", *map(str, range(701, 1500))]
    changed = {message.id for message in before.messages} ^ {message.id for message in after.messages}
    assert changed == {before.messages[700].id, after.messages[700].id}
    assert [tombstone.id for tombstone in after.tombstones] == [before.messages[700].id]
    assert await only(chat) == after


@over(*LISTS)
async def test_a_list_that_lost_thousands_is_written_down_in_parts_and_keeps_the_other_ids(other, chat, only):
    other.push(*(other.item(f"{number}") for number in range(6_500)))
    before = await only(chat)
    other.trim(900)
    other.push(other.item("new"))
    after = await only(chat)
    assert [message.id for message in after.messages[:-1]] == [message.id for message in before.messages[-900:]]
    assert [message.position for message in after.messages] == list(range(5_600, 6_501))
    assert len(after.tombstones) == 5_600


@over("langchain", "llamaindex", "openai-agents")
async def test_another_programs_edit_of_a_message_that_chatstore_wrote_is_another_message(other, chat, only):
    other.push(other.item("a"))
    await chat.append(USER, SESSION, NewMessage("user", "b", id="ours"))
    other.set(1, other.item("c"))
    change = await only(chat)
    assert contents(change) == ["a", "c"]
    assert change.messages[1].id != "ours"
    assert [tombstone.id for tombstone in change.tombstones] == ["ours"]


@over(*LISTS)
async def test_a_list_put_back_to_before_the_other_sides_edit_is_noticed_by_the_next_write(other, chat, only):
    new = MemoryChat(Side.NEW)
    await chat.create_session(USER, session_id=SESSION, title="a chat")
    await chat.append(USER, SESSION, NewMessage("user", "a", id="edited"))
    await new.put([await only(chat)])
    before = other.items()
    edit = EditMessage(user_id=USER, session_id=SESSION, message_id="edited", content="b")
    await chat.put([(await new.write(edit)).change])
    other.replace(before)
    await chat.append(USER, SESSION, NewMessage("user", "a", id="ours"))
    change = await only(chat)
    assert contents(change) == ["a", "a"]
    assert change.messages[1].id == "ours"
    assert [tombstone.id for tombstone in change.tombstones] == ["edited"]


@over("langchain")
async def test_a_list_put_back_to_before_a_message_expired_is_noticed_by_the_next_write(other, chat, only):
    await chat.create_session(USER, session_id=SESSION, title="a chat")
    brief, dead = NewMessage("user", "b", id="brief"), NewMessage("user", "x", id="dead")
    for message in (dead, NewMessage("user", "a", id="first"), brief):
        await chat.append(USER, SESSION, message)
    await chat.delete_messages(USER, SESSION, ["dead"])
    change = await only(chat)
    expires = utc_now() + timedelta(milliseconds=100)
    expiring = replace(change.messages[1], version=change.messages[1].version + 2, expires_at=expires)
    await chat.put([replace(change, messages=(expiring,))])
    await chat.append(USER, SESSION, NewMessage("user", "c", id="last"))
    before = other.items()
    await asyncio.sleep((expires - utc_now()).total_seconds() + 0.01)
    with pytest.raises(ConflictError):  # the one has expired, which is written down, and the other was deleted
        await chat.write(AppendMessages(user_id=USER, session_id=SESSION, messages=(brief, dead)))
    other.replace(before)
    await chat.append(USER, SESSION, NewMessage("user", "d", id="ours"))
    change = await only(chat)
    assert contents(change) == ["a", "b", "c", "d"]
    assert [change.messages[rank].id for rank in (0, 2, 3)] == ["first", "last", "ours"]


@over("llamaindex")
async def test_a_list_put_back_to_before_it_lost_thousands_is_noticed_between_the_parts(other, chat, client):
    write_down = SessionCalls(other.layout).adopt(SESSION.encode())
    other.push(*(b'{"role":"user","content":"%d"}' % number for number in range(5_100)))
    while await run(client, write_down) == [b"adopt"]:
        pass
    before = other.items()
    other.trim(50)
    assert await run(client, write_down) == [b"adopt"]
    other.replace(before)
    await chat.append(USER, SESSION, NewMessage("user", "last", id="ours"))
    assert other.items()[:-1] == before
    assert (await chat.pop_message(USER, SESSION)).id == "ours"
    assert other.items() == before


@over("vercel-kv")
async def test_another_programs_edit_of_a_message_with_an_id_of_its_own_is_a_newer_state_of_it(other, chat, only):
    other.push(other.item("a", "m1"), other.item("b", "m2"))
    before = await only(chat)
    other.set(0, other.item("edited", "m1"))
    after = await only(chat)
    assert [(message.id, message.content) for message in after.messages] == [("m1", "edited"), ("m2", "b")]
    assert after.messages[0].version > before.messages[0].version
    assert after.messages[1] == before.messages[1]
    assert after.tombstones == ()
    assert await only(chat) == after


@over(*SEQUENCES)
async def test_what_the_framework_pushes_after_chatstore_popped_the_last_message_is_another_one(other, chat, only):
    other.push(other.item("a"))
    await chat.append(USER, SESSION, NewMessage("user", "b", id="ours"))
    await chat.pop_message(USER, SESSION)
    other.push(other.item("b"))
    change = await only(chat)
    assert contents(change) == ["a", "b"]
    assert change.messages[1].id != "ours"
    await chat.pop_message(USER, SESSION)
    await chat.pop_message(USER, SESSION)
    assert (await only(chat)).messages == ()
    assert (await chat.get_session(USER, SESSION)).id == SESSION


@over(*SEQUENCES)
async def test_a_list_that_is_written_anew_at_once_deletes_what_it_does_not_have(other, chat, only):
    other.push(other.item("a"), other.item("b"))
    before = await only(chat)
    other.replace([other.item("b"), other.item("c")])
    change = await only(chat)
    assert contents(change) == ["b", "c"]
    assert change.messages[0] == before.messages[1]
    assert [tombstone.id for tombstone in change.tombstones] == [before.messages[0].id]


@over(*SEQUENCES)
async def test_a_list_that_is_seen_empty_is_no_deletion_and_what_comes_back_stands_first(other, chat, only):
    new = MemoryChat(Side.NEW)
    other.push(other.item("a"), other.item("b"))
    await new.put([await only(chat)])
    await chat.update_session(USER, SESSION, title="kept")
    other.clear()
    assert (await only(chat)).tombstones == ()
    other.push(other.item("c"))
    await new.put([await only(chat)])
    [change] = [change async for page in new.fetch([SESSION]) for change in page.changes]
    await chat.put([change])
    assert other.items() == [other.item(name) for name in "abc"]
    assert (await only(chat)).messages == tuple(await new.messages(USER, SESSION))


@over("langchain", "llamaindex", "openai-agents")
async def test_a_session_without_messages_is_scanned_counted_and_listed(other, chat, only, client):
    await chat.create_session(USER, session_id=SESSION, title="empty")
    assert (await only(chat)).session.title == "empty"
    assert ((await chat.count()).sessions, (await chat.count()).messages) == (1, 0)
    other.push(other.item("a"))
    assert contents(await only(chat)) == ["a"]
    assert (await chat.count()).sessions == 1
    assert [session.title for session in (await chat.list_sessions(USER)).items] == ["empty"]


@over(*LISTS)
async def test_a_session_expires_when_its_list_does_and_follows_a_ttl_that_is_set_anew(other, chat, only, client):
    other.push(other.item("a"))
    keys = [key for key in (other.key, other.key.removesuffix(":messages")) if await client.ask("EXISTS", key)]
    for key in keys:
        await client.ask("PEXPIREAT", key, 4_000_000_000_000)
    first = (await only(chat)).session
    assert first.expires_at == from_micros(4_000_000_000_000_000)
    for key in keys:
        await client.ask("PEXPIREAT", key, 4_000_000_001_000)
    second = (await only(chat)).session
    assert (second.expires_at, second.version > first.version) == (from_micros(4_000_000_001_000_000), True)
    await chat.append(USER, SESSION, NewMessage("user", "b"))
    assert {await client.ask("PEXPIRETIME", key) for key in keys} == {4_000_000_001_000}
    await chat.clear_messages(USER, SESSION)
    await chat.append(USER, SESSION, NewMessage("user", "c"))
    assert {await client.ask("PEXPIRETIME", key) for key in keys} == {4_000_000_001_000}
    assert (await only(chat)).session.expires_at == second.expires_at
    for key in keys:
        await client.ask("PEXPIREAT", key, int(utc_now().timestamp() * 1000) + 20)
    await only(chat)
    while await client.ask("EXISTS", *keys):
        pass
    with pytest.raises(NotFoundError):
        await chat.get_session(USER, SESSION)


@over("openai-agents")
async def test_a_list_without_its_hash_is_a_session_and_keeps_its_expiry(other, chat, only, client):
    await client.ask("RPUSH", other.key, other.item("a"))
    await client.ask("PEXPIREAT", other.key, 4_000_000_000_000)
    change = await only(chat)
    assert (contents(change), change.session.expires_at) == (["a"], from_micros(4_000_000_000_000_000))
    await chat.append(USER, SESSION, NewMessage("user", "b"))
    held = await client.ask("HGETALL", "agents:session:s")
    assert held.keys() == {b"session_id", b"updated_at"}
    assert await client.ask("PEXPIRETIME", "agents:session:s") == 4_000_000_000_000
    assert (await only(chat)).session.created_at == change.session.created_at


@over("openai-agents")
async def test_a_deleted_session_leaves_no_key_of_the_agents_sdk(other, chat, client):
    other.push(other.item("a"))
    await client.ask("SET", "agents:session:s:counter", 1)
    session = await chat.get_session(USER, SESSION)
    assert session.created_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert session.updated_at == datetime(2023, 11, 14, 22, 15, tzinfo=UTC)
    assert await chat.delete_session(USER, SESSION)
    assert [key async for key in client.scan_iter("agents:*")] == []


@over("vercel-kv")
async def test_a_users_chats_are_kept_right_for_the_template(other, chat, client):
    other.push(other.item("a"))
    await client.ask("ZADD", f"user:chat:{USER}", 1_700_000_000_000, "chat:s")
    created = await chat.create_session(USER, session_id="ours", title="a title")
    scores = await client.ask("ZRANGE", f"user:chat:{USER}", 0, -1, "WITHSCORES")
    assert [name for name, _ in scores] == [b"chat:s", b"chat:ours"]
    assert scores[1][1] == int(created.created_at.timestamp() * 1000)
    held = await client.ask("HGETALL", "chat:ours")
    assert {name: held[name] for name in (b"id", b"title", b"userId", b"path", b"messages")} == {
        b"id": b"ours",
        b"title": b"a title",
        b"userId": USER.encode(),
        b"path": b"/chat/ours",
        b"messages": b"[]",
    }
    assert (await chat.get_session(USER, "ours")).extra == {}
    await chat.delete_session(USER, SESSION)
    assert await client.ask("ZRANGE", f"user:chat:{USER}", 0, -1) == [b"chat:ours"]


@over("vercel-kv")
async def test_fields_of_a_chat_and_the_spelling_of_its_time_come_back_as_they_were(other, chat, only, client):
    other.push(other.item("a", "m1"))
    fields = {"createdAt": "2024-06-26T11:06:40.123Z", "sharePath": "/share/s", "path": "/elsewhere", "title": "42"}
    await client.ask("HSET", "chat:s", *[part for pair in fields.items() for part in pair])
    before = await client.ask("HGETALL", "chat:s")
    change = await only(chat)
    assert change.session.title == "42"
    assert change.session.created_at == datetime(2024, 6, 26, 11, 6, 40, 123000, tzinfo=UTC)
    await client.flushdb()
    await chat.put([change])
    assert await client.ask("HGETALL", "chat:s") == before
    assert await only(chat) == change


@over("langchain")
async def test_a_session_cannot_lie_where_chatstore_keeps_its_own_keys(other, client):
    everything = RedisChat(client, chat_layout("langchain-js", owners=SoleOwner(USER)))
    name = JournalKeys(Kind.CHAT).marks.decode()
    with pytest.raises(ConflictError, match="another id"):
        await everything.create_session(USER, session_id=name)
    held = await MemoryChat(Side.NEW).create_session(USER, session_id=name)
    with pytest.raises(ConflictError, match="another id"):
        await everything.put([ChatChange(session_id=name, user_id=USER, session=held)])
    await everything.close()


@over("langchain", "llamaindex")
async def test_a_merge_takes_no_message_for_its_neighbour_where_another_program_changed_the_middle(other, chat, only):
    other.push(*(other.item(f"m{number}" if number < 500 else "ok") for number in range(1000)))
    change = await only(chat)
    stone = MessageTombstone(
        next(one.id for one in change.messages if one.content == "m400"), change.session.version + 2
    )
    other.remove(other.item("m300"))
    other.push(other.item("ok"))
    await chat.put([replace(change, messages=(), tombstones=(stone,))])
    expected = [f"m{number}" for number in range(500) if number not in {300, 400}]
    assert contents(await only(chat)) == expected + 501 * ["ok"]

"""The layout `hash` as an app wrote it, and goes on writing it beside us."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from chatstore.errors import ConflictError, InvalidRecordError, NotFoundError
from chatstore.models import AppendMessages, ChatChange, EditMessage, NewMessage, Session, from_micros
from tests.redis.conftest import CREATED, UPDATED


def contents(messages):
    return [message.content for message in messages]


async def test_a_session_of_the_apps_is_read_as_it_is(app, chat):
    await app.conversation("s", 3)
    session = await chat.get_session("ann", "s")
    assert session == Session(
        id="s",
        user_id="ann",
        title="about s",
        created_at=from_micros(CREATED * 1000),
        updated_at=from_micros(UPDATED * 1000),
        version=UPDATED * 1000,
    )
    messages = await chat.messages("ann", "s")
    assert [(m.id, m.position, m.version) for m in messages] == [("s-0", 0, 0), ("s-1", 1, 0), ("s-2", 2, 0)]


async def test_reading_writes_nothing_but_the_index(app, chat, client, scanned):
    await app.conversation("s", 3)
    await chat.messages("ann", "s")
    await chat.list_sessions("ann")
    await scanned(chat)
    own = {key async for key in client.scan_iter("chatstore:*")}
    assert {key.split(b":")[3] for key in own} == {b"index", b"indexed"}


async def test_our_writes_add_no_field_to_the_apps_hashes(app, chat, client):
    await app.conversation("s", 2)
    await app.session("whole", metadata="{}")
    await chat.append("ann", "s", NewMessage("user", "more", id="m", metadata={"a": 1}))
    await chat.update_session("ann", "s", title="new")
    await chat.create_session("ann", session_id="ours", title="ours")
    app_fields = {b"userId", b"title", b"createdAt", b"updatedAt", b"messageIds", b"metadata"}
    assert set(await client.hkeys("session:s")) == app_fields == set(await client.hkeys("session:ours"))
    held = await client.hgetall("message:m")
    assert set(held) == {b"sessionId", b"role", b"content", b"createdAt", b"metadata"}
    assert (held[b"content"], json.loads(held[b"metadata"])) == (b"more", {"a": 1})
    assert await app.ids("s") == ["s-0", "s-1", "m"]
    assert await client.hget("session:ours", "messageIds") == b"[]"


async def test_message_ids_stay_a_json_array_of_any_ids(app, chat, client):
    await chat.create_session("ann", session_id="s")
    ids = ['a"b\\', "é/\u2028", "x\n", "1"]
    for name in ids:
        await chat.append("ann", "s", NewMessage("user", name, id=name))
    assert await app.ids("s") == ids
    await chat.delete_messages("ann", "s", [ids[1]])
    assert await app.ids("s") == [ids[0], *ids[2:]]
    await chat.clear_messages("ann", "s")
    assert await client.hget("session:s", "messageIds") == b"[]"
    await chat.append("ann", "s", NewMessage("user", "x", id="x"))
    assert await app.ids("s") == ["x"]


async def test_an_array_with_spaces_is_lengthened_as_it_is(app, chat, client):
    await app.conversation("s", 1)
    await client.hset("session:s", "messageIds", ' [ "s-0" ] ')
    await chat.append("ann", "s", NewMessage("user", "x", id="x"))
    assert await app.ids("s") == ["s-0", "x"]
    await client.hset("session:s", "messageIds", " [ ] ")
    await chat.append("ann", "s", NewMessage("user", "y", id="y"))
    assert await app.ids("s") == ["y"]


async def test_positions_never_shift_after_the_first_write(app, chat):
    await app.conversation("s", 4)
    await chat.delete_messages("ann", "s", ["s-1"])
    assert [m.position for m in await chat.messages("ann", "s")] == [0, 2, 3]


async def test_what_the_app_appends_beside_us_is_found_at_once_and_keeps_its_place(app, chat):
    ids = await app.conversation("s", 2)
    await chat.append("ann", "s", NewMessage("user", "ours", id="ours"))
    await app.message("theirs", "s", content="theirs")
    await app.session("s", ids=[*ids, "ours", "theirs"])
    assert [(m.id, m.position) for m in await chat.messages("ann", "s")][2:] == [("ours", 2), ("theirs", 3)]
    assert [m.id for m in await chat.last_messages("ann", "s", 2)] == ["ours", "theirs"]
    await chat.append("ann", "s", NewMessage("user", "last", id="last"))
    assert [(m.id, m.position) for m in await chat.messages("ann", "s")][2:] == [
        ("ours", 2),
        ("theirs", 3),
        ("last", 4),
    ]
    assert await app.ids("s") == [*ids, "ours", "theirs", "last"]


async def test_what_the_app_deletes_beside_us_is_deleted_and_told(app, chat, client):
    ids = await app.conversation("s", 3)
    await chat.append("ann", "s", NewMessage("user", "ours", id="ours"))
    await client.delete("message:s-1")
    await app.session("s", ids=[ids[0], ids[2], "ours"])
    written = await chat.write(
        AppendMessages(user_id="ann", session_id="s", messages=(NewMessage("user", "x", id="x"),))
    )
    assert [t.id for t in written.change.tombstones] == ["s-1"]
    with pytest.raises(ConflictError):
        await chat.append("ann", "s", NewMessage("assistant", "1", id="s-1"))


async def test_an_edit_tells_of_itself_and_of_what_the_app_deleted(app, chat, client):
    ids = await app.conversation("s", 3)
    await chat.append("ann", "s", NewMessage("user", "ours", id="ours"))
    await client.delete("message:s-1")
    await app.session("s", ids=[ids[0], ids[2], "ours"])
    written = await chat.write(EditMessage(user_id="ann", session_id="s", message_id="s-0", content="new"))
    assert [m.content for m in written.change.messages] == ["new"]
    assert [t.id for t in written.change.tombstones] == ["s-1"]


async def test_a_page_of_no_messages_is_empty(app, chat):
    await app.conversation("s", 3)
    assert await chat.messages("ann", "s", limit=0) == []
    await chat.append("ann", "s", NewMessage("user", "x"))
    assert await chat.messages("ann", "s", limit=0) == []


async def test_a_list_cannot_go_on_behind_what_is_no_place(app, chat):
    with pytest.raises(InvalidRecordError):
        await chat.list_sessions("ann", after="yesterday")


async def test_a_message_that_a_race_of_the_apps_lost_from_the_list_can_be_appended_again(app, chat):
    ids = await app.conversation("s", 1)
    message = NewMessage("user", "ours", id="ours")
    await chat.append("ann", "s", message)
    await app.session("s", ids=ids)
    await chat.append("ann", "s", message)
    assert await app.ids("s") == [*ids, "ours"]


async def test_a_title_that_the_app_changes_beside_us_is_a_newer_version(app, chat, client):
    await app.conversation("s", 1)
    ours = await chat.update_session("ann", "s", title="ours")
    later = ours.version // 1000 + 5_000
    await client.hset("session:s", mapping={"title": "theirs", "updatedAt": later})
    theirs = await chat.get_session("ann", "s")
    assert (theirs.title, theirs.version) == ("theirs", later * 1000)
    await client.hset("session:s", mapping={"title": "theirs, by a slow clock", "updatedAt": UPDATED})
    slow = await chat.get_session("ann", "s")
    assert slow.version > ours.version
    assert slow == await chat.get_session("ann", "s")


async def test_an_append_of_ours_changes_no_version(app, chat):
    await app.conversation("s", 1)
    before = await chat.get_session("ann", "s")
    await chat.append("ann", "s", NewMessage("user", "x"))
    after = await chat.get_session("ann", "s")
    assert after.version == before.version
    assert after.updated_at > before.updated_at


async def test_deleting_a_session_deletes_its_messages_and_no_others(app, chat, client):
    await app.conversation("s", 3)
    await app.message("elsewhere", "other")
    await app.session("other", ids=["elsewhere"])
    await app.session("s", ids=["s-0", "s-1", "s-2", "elsewhere"])
    assert await chat.delete_session("ann", "s")
    assert [key async for key in client.scan_iter("message:*")] == [b"message:elsewhere"]


async def test_the_app_may_create_a_session_again_that_we_deleted(app, chat):
    await app.conversation("s", 2)
    await chat.delete_session("ann", "s")
    await app.message("again", "s", content="again")
    await app.session("s", ids=["again"])
    assert contents(await chat.messages("ann", "s")) == ["again"]
    await chat.append("ann", "s", NewMessage("user", "and more"))
    assert contents(await chat.messages("ann", "s")) == ["again", "and more"]


async def test_fields_that_the_layout_does_not_know_survive(app, chat, client):
    await app.message("m", "s", embedding="[0.10, 2]", tool="hammer")
    await app.session("s", ids=["m"], colour="red")
    assert (await chat.get_session("ann", "s")).extra == {"colour": "red"}
    [message] = await chat.messages("ann", "s")
    assert message.extra == {"embedding": "[0.10, 2]", "tool": "hammer"}
    await chat.edit_message("ann", "s", "m", content="new")
    await chat.update_session("ann", "s", title="new")
    assert await client.hget("message:m", "embedding") == b"[0.10, 2]"
    assert await client.hget("session:s", "colour") == b"red"


async def test_extra_comes_back_from_the_other_side_and_what_is_no_text_is_kept_beside(app, chat, client):
    await app.message("m", "s", embedding="[1]")
    await app.session("s", ids=["m"], colour="red")
    [change] = [change async for page in chat.fetch(["s"]) for change in page.changes]
    newer = Session(
        id="s",
        user_id="ann",
        title="from afar",
        created_at=change.session.created_at,
        updated_at=change.session.updated_at,
        version=change.session.version + 1,
        extra={"shape": "round", "tools": [1, {"a": None}], "userId": "not the owner"},
    )
    await chat.put([ChatChange(session_id="s", user_id="ann", session=newer)])
    assert await chat.get_session("ann", "s") == newer
    held = await client.hgetall("session:s")
    assert held[b"shape"] == b"round"
    assert held[b"userId"] == b"ann"
    assert b"colour" not in held
    assert b"tools" not in held
    assert await app.ids("s") == ["m"]


async def test_times_in_other_units_are_understood_when_they_are_unmistakable(app, chat):
    second = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    for number, (written, meant) in enumerate(
        [
            ("1700000000", second),
            ("1700000000.25", second + timedelta(milliseconds=250)),
            ("1700000000123", second + timedelta(milliseconds=123)),
            ("1700000000123.5", second + timedelta(microseconds=123_500)),
            ("1700000000123456", second + timedelta(microseconds=123_456)),
            ("2023-11-14T22:13:20Z", second),
            ("2023-11-14 22:13:20.5+00:00", second + timedelta(milliseconds=500)),
            ("2023-11-15T00:13:20+0200", second),
            ("2023-11-14T22:13:20", second),
            ("0", datetime(1970, 1, 1, tzinfo=UTC)),
            ("253402300799999", datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
            ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
        ]
    ):
        await app.session(f"s{number}", createdAt=written, updatedAt=written)
        session = await chat.get_session("ann", f"s{number}")
        assert (session.created_at, session.updated_at) == (meant, meant), written
        assert session.version >= 2
        await chat.append("ann", f"s{number}", NewMessage("user", "x"))
        assert (await chat.get_session("ann", f"s{number}")).created_at == meant, written


async def test_an_expiry_is_the_keys_own(app, chat, client):
    await app.conversation("s", 1)
    at = 4_000_000_000_123
    await client.pexpireat("session:s", at)
    session = await chat.get_session("ann", "s")
    assert session.expires_at == from_micros(at * 1000)
    await chat.append("ann", "s", NewMessage("user", "x", id="x"))
    assert await client.pexpiretime("session:s") == await client.pexpiretime("message:x") == at
    await chat.update_session("ann", "s", title="still")
    assert (await chat.get_session("ann", "s")).expires_at == session.expires_at


async def test_a_message_id_of_another_session_is_never_written_over(app, chat, client):
    await app.conversation("s", 1)
    await chat.create_session("bob", session_id="mine")
    with pytest.raises(ConflictError):
        await chat.append("bob", "mine", NewMessage("user", "theirs now", id="s-0"))
    assert await client.hget("message:s-0", "content") == b"0"


async def test_lists_are_whole_though_the_layout_has_no_index(app, chat):
    for number in range(5):
        await app.session(f"s{number}", updatedAt=UPDATED + number)
    await app.session("bobs", user="bob")
    first = await chat.list_sessions("ann", limit=3)
    rest = await chat.list_sessions("ann", limit=3, after=first.next)
    assert [s.id for s in first.items + rest.items] == ["s4", "s3", "s2", "s1", "s0"]
    assert rest.next is None


async def test_a_list_drops_what_is_gone_and_goes_on(app, chat, client):
    for number in range(4):
        await app.session(f"s{number}")
    await chat.list_sessions("ann")
    await client.delete("session:s3", "session:s2")
    await client.hset("session:s1", "userId", "bob")
    page = await chat.list_sessions("ann", limit=2)
    assert ([s.id for s in page.items], page.next) == (["s0"], None)


async def test_two_users_find_nothing_of_each_other(app, chat):
    await app.conversation("s", 1)
    await app.session("broken", createdAt="when?")
    for attempt in (chat.get_session("bob", "s"), chat.messages("bob", "s"), chat.get_session("bob", "broken")):
        with pytest.raises(NotFoundError):
            await attempt
    with pytest.raises(ConflictError):
        await chat.create_session("bob", session_id="broken")

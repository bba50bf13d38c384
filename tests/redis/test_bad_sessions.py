"""What no layout promises: it stops nothing, and vanishes nowhere."""

import json
import logging

import pytest

from chatstore.errors import ConflictError, LayoutError, NotFoundError
from chatstore.models import ChatChange, NewMessage, Session, utc_now

BAD_METADATA = [
    b"{",
    b"[1]",
    b"3",
    b'{"a": NaN}',
    b'{"a": 1, "a": 2}',
    b'{"a": "\\ud800"}',
    b'{"a": 1e999}',
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b'{"a": "\xff"}',
]


async def read_whole(chat):
    return await chat.get_session("ann", "s"), await chat.messages("ann", "s")


@pytest.mark.parametrize("metadata", BAD_METADATA, ids=range(len(BAD_METADATA)))
async def test_bad_metadata_of_a_message_hides_no_other(app, chat, scanned, metadata, caplog):
    ids = await app.conversation("s", 3)
    await app.client.hset(f"message:{ids[1]}", "metadata", metadata)
    with caplog.at_level(logging.WARNING):
        assert [m.content for m in await chat.messages("ann", "s")] == ["0", "2"]
    assert ids[1] in caplog.text
    changes, [bad] = await scanned(chat)
    assert [m.content for change in changes for m in change.messages] == ["0", "2"]
    assert (bad.key, metadata[:1000] in bad.raw) == (f"message:{ids[1]}", True)
    assert "metadata" in bad.reason


@pytest.mark.parametrize("metadata", BAD_METADATA, ids=range(len(BAD_METADATA)))
async def test_bad_metadata_of_a_session_is_said_to_its_owner_and_to_nobody_else(app, chat, scanned, metadata):
    await app.conversation("s", 1)
    await app.conversation("good", 1)
    await app.client.hset("session:s", "metadata", metadata)
    with pytest.raises(LayoutError):
        await chat.get_session("ann", "s")
    with pytest.raises(NotFoundError):
        await chat.get_session("bob", "s")
    [change], [bad] = await scanned(chat)
    assert (change.session_id, bad.key) == ("good", "session:s")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("messageIds", "{}"),
        ("messageIds", '["a"'),
        ("messageIds", "7"),
        ("messageIds", "[" * 5000 + "]" * 5000),
        ("userId", ""),
        ("createdAt", "yesterday"),
        ("updatedAt", "-"),
        ("updatedAt", "99999999999999999999"),
        ("updatedAt", "0x10"),
        ("updatedAt", "2023-02-30T00:00:00Z"),
        ("title", b"\xff"),
        (b"\xff", b"a field's name"),
    ],
)
async def test_a_bad_session_is_quarantined_with_what_was_found(app, chat, scanned, field, value):
    await app.session("s", ids=["a"])
    await app.conversation("good", 1)
    await app.client.hset("session:s", field, value)
    with pytest.raises((LayoutError, NotFoundError)):
        await read_whole(chat)
    [change], [bad] = await scanned(chat)
    assert (change.session_id, bad.key) == ("good", "session:s")
    assert (value if isinstance(value, bytes) else value.encode()) in bad.raw
    assert [s.id for s in (await chat.list_sessions("ann")).items] == ["good"]


async def test_wrong_types_and_foreign_bytes_are_quarantined(app, chat, client, scanned):
    await app.session("s", ids=["text", "list", "missing", "m"])
    await client.set("message:text", b"\xffraw")
    await client.rpush("message:list", "x")
    await app.message("m", "s", content=b"\xff\xfe")
    await client.set("session:text", "not a hash")
    await client.hset(b"session:\xff", "userId", "ann")
    [change], bad = await scanned(chat)
    assert change.messages == ()
    found = {record.key: record for record in bad}
    assert set(found) == {
        "message:text",
        "message:list",
        "message:missing",
        "message:m",
        "session:text",
        "session:\\xff",
    }
    assert found["message:text"].raw == b"\xffraw"
    assert found["session:text"].raw == b"not a hash"
    assert b"x" in found["message:list"].raw
    await app.session("good")
    await client.rename("session:good", b"session:\xff\xff")
    assert [s.id for s in (await chat.list_sessions("ann")).items] == ["s"]
    with pytest.raises(LayoutError) as caught:
        await chat.get_session("ann", "text")
    assert caught.value.raw == b""


async def test_a_session_without_an_id_is_quarantined_and_hides_no_other(app, chat, scanned):
    await app.conversation("good", 1)
    await app.session("")
    [change], [bad] = await scanned(chat)
    assert (change.session_id, bad.key, bad.reason[:25]) == ("good", "session:", "the session's id is empty")
    assert [s.id for s in (await chat.list_sessions("ann")).items] == ["good"]


async def test_ids_that_are_no_ids_hide_no_others(app, chat, scanned):
    await app.message("a", "s")
    await app.message("7", "s")
    await app.session("s", messageIds=json.dumps(["a", None, 7, {}, "", "a"]))
    assert [m.id for m in await chat.messages("ann", "s")] == ["a", "7"]
    [change], [bad] = await scanned(chat)
    assert [m.id for m in change.messages] == ["a", "7"]
    assert (bad.key, "messageIds" in bad.reason) == ("session:s", True)


async def test_dangling_ids_count_for_nothing_and_are_passed_over(app, chat):
    await app.message("a", "s")
    await app.message("b", "s")
    await app.session("s", ids=["a", "gone", "b", "also gone"])
    assert await chat.count_messages("ann", "s") == 2
    assert [m.id for m in await chat.last_messages("ann", "s", 2)] == ["a", "b"]
    assert [m.id for m in await chat.messages("ann", "s", limit=2)] == ["a", "b"]
    assert (await chat.pop_message("ann", "s")).id == "b"
    assert await chat.delete_messages("ann", "s", ["gone"]) == 0
    assert (await chat.count()).messages == 1


async def test_paging_goes_on_behind_messages_that_cannot_be_read(app, chat, client):
    ids = await app.conversation("s", 10)
    for name in ids[2:8]:
        await client.hset(f"message:{name}", "metadata", "{")
    assert [m.content for m in await chat.messages("ann", "s", limit=4)] == ["0", "1", "8", "9"]


async def test_messages_that_no_session_lists_are_found(app, chat, scanned):
    await app.conversation("s", 3)
    await app.message("unlisted", "s", content="unlisted")
    await app.message("orphan", "nowhere", content="orphan")
    await app.client.set("message:text", "x")
    [change], bad = await scanned(chat)
    assert len(change.messages) == 3
    assert {record.key for record in bad} == {"message:unlisted", "message:orphan", "message:text"}


async def test_a_message_that_two_sessions_list_is_the_ones_that_it_names(app, chat, scanned):
    await app.message("m", "one")
    await app.session("one", ids=["m"])
    await app.session("two", ids=["m"])
    changes, bad = await scanned(chat)
    assert {change.session_id: len(change.messages) for change in changes} == {"one": 1, "two": 0}
    assert [record.key for record in bad] == ["message:m"]
    assert await chat.delete_session("ann", "two")
    assert len(await chat.messages("ann", "one")) == 1


@pytest.mark.parametrize("created", ["", "soon", "1e12", "NaN", "99999999999", "1700000000000000000"])
async def test_a_message_without_a_time_is_quarantined_not_dated(app, chat, scanned, created):
    await app.message("m", "s", createdAt=created)
    await app.session("s", ids=["m"])
    [change], [bad] = await scanned(chat)
    assert (change.messages, bad.key) == ((), "message:m")


async def test_a_put_into_an_unreadable_record_is_refused(client, app, chat):
    await client.set("session:s", "x")
    now = utc_now()
    session = Session(id="s", user_id="ann", created_at=now, updated_at=now, version=3)
    with pytest.raises(ConflictError):
        await chat.put([ChatChange(session_id="s", user_id="ann", session=session)])
    assert await client.get("session:s") == b"x"


async def test_a_write_to_an_unreadable_session_changes_nothing(app, chat, client):
    ids = await app.conversation("s", 1)
    await client.hset("session:s", "metadata", '{"cut off')
    with pytest.raises(LayoutError):
        await chat.append("ann", "s", NewMessage("user", "x"))
    assert await app.ids("s") == ids


async def test_a_long_session_comes_in_parts_that_each_hold_the_header(app, chat, client, scanned):
    await app.conversation("s", 2500)
    changes, bad = await scanned(chat)
    assert [len(change.messages) for change in changes] == [1000, 1000, 500]
    assert bad == []
    assert {change.session.title for change in changes} == {"about s"}
    assert [m.position for change in changes for m in change.messages] == list(range(2500))
    assert len(await chat.messages("ann", "s")) == 2500


async def test_heavy_messages_come_in_smaller_parts(app, chat, scanned):
    ids = await app.conversation("s", 8)
    for name in ids:
        await app.message(name, "s", content="x" * 700_000)
    changes, _ = await scanned(chat)
    # The first part is asked for with those of other sessions, and takes nothing that large.
    assert [len(change.messages) for change in changes] == [0, 2, 2, 2, 2]


async def test_a_walk_goes_on_where_another_stopped(app, chat):
    for number in range(3000):
        await app.session(f"s{number}")
    seen, cursor = set(), None
    while True:
        walk = chat.keys(cursor)
        page = await anext(walk)
        await walk.aclose()
        seen |= set(page.keys)
        cursor = page.cursor
        if cursor is None:
            break
    assert len(seen) == 3000

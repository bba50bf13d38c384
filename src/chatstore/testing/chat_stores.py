"""The conformance suite of chat stores, as an app sees them.

Subclass it in a test module and give it its fixture:

    class TestMine(ChatStoreSuite):
        @pytest.fixture
        async def chat(self):
            yield MyStore()

The tests are coroutines: run them with pytest-asyncio in auto mode. Every test makes ids of its own, so one store
may serve them all. The other suites of this package are used alike.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from chatstore.errors import ConflictError, InvalidRecordError, NotFoundError
from chatstore.interfaces import ChatHistoryStore
from chatstore.models import (
    JsonObject,
    NewMessage,
    Session,
    new_id,
    utc_now,
)
from chatstore.testing.samples import EARLY, RICH, contents_of, turns


class ChatStoreSuite:
    """What an app may rely on, of any `ChatHistoryStore`."""

    async def test_a_created_session_is_found_again(self, chat: ChatHistoryStore) -> None:
        user = new_id()
        created = await chat.create_session(user, title="Tea", metadata=RICH)
        assert (created.user_id, created.title, created.metadata) == (user, "Tea", RICH)
        assert await chat.get_session(user, created.id) == created

    async def test_creating_twice_changes_nothing_and_other_content_conflicts(self, chat: ChatHistoryStore) -> None:
        user, name = new_id(), new_id()
        first = await chat.create_session(user, session_id=name, title="one")
        assert await chat.create_session(user, session_id=name, title="one") == first
        with pytest.raises(ConflictError):
            await chat.create_session(user, session_id=name, title="two")
        with pytest.raises(ConflictError):
            await chat.create_session(new_id(), session_id=name, title="one")
        assert await chat.get_session(user, name) == first

    async def test_an_update_changes_what_it_names_and_no_more(self, chat: ChatHistoryStore) -> None:
        user = new_id()
        session = await chat.create_session(user, title="one", metadata={"a": 1})
        renamed = await chat.update_session(user, session.id, title="two")
        assert (renamed.title, renamed.metadata) == ("two", {"a": 1})
        assert renamed.version > session.version
        changed = await chat.update_session(user, session.id, metadata={"b": []})
        assert (changed.title, changed.metadata) == ("two", {"b": []})
        assert await chat.get_session(user, session.id) == changed

    async def test_another_users_session_is_as_one_that_is_not_there(self, chat: ChatHistoryStore) -> None:
        owner, other = new_id(), new_id()
        session = await chat.create_session(owner)
        [message] = await chat.append(owner, session.id, turns("mine"))
        for attempt in (
            chat.get_session(other, session.id),
            chat.update_session(other, session.id, title="theirs"),
            chat.append(other, session.id, turns("theirs")),
            chat.messages(other, session.id),
            chat.last_messages(other, session.id, 1),
            chat.count_messages(other, session.id),
            chat.edit_message(other, session.id, message.id, content="theirs"),
            chat.pop_message(other, session.id),
            chat.delete_messages(other, session.id, [message.id]),
            chat.clear_messages(other, session.id),
        ):
            with pytest.raises(NotFoundError):
                await attempt
        assert not await chat.delete_session(other, session.id)
        assert (await chat.list_sessions(other)).items == ()
        assert await chat.messages(owner, session.id) == [message]

    async def test_messages_come_back_in_order_and_whole(self, chat: ChatHistoryStore) -> None:
        user = new_id()
        session = await chat.create_session(user)
        rich = NewMessage("oracle", "a\x00b 🦊", metadata=RICH, created_at=EARLY, extra={"embedding": "[0.5, 1]"})
        first = await chat.append(user, session.id, turns("one", "two"))
        second = await chat.append(user, session.id, rich)
        assert contents_of(first) == ["one", "two"]
        [stored] = second
        assert (stored.role, stored.content, stored.metadata) == ("oracle", "a\x00b 🦊", RICH)
        assert (stored.created_at, stored.extra) == (EARLY, {"embedding": "[0.5, 1]"})
        assert await chat.messages(user, session.id) == first + second
        assert await chat.count_messages(user, session.id) == 3

    async def test_empty_text_and_long_text_are_text(self, chat: ChatHistoryStore) -> None:
        user = new_id()
        session = await chat.create_session(user)
        long = "x" * 300_000
        await chat.append(user, session.id, turns("", long))
        assert contents_of(await chat.messages(user, session.id)) == ["", long]

    async def test_appending_the_same_message_again_changes_nothing(self, chat: ChatHistoryStore) -> None:
        user = new_id()
        session = await chat.create_session(user)
        message = NewMessage("user", "once")
        first = await chat.append(user, session.id, message)
        await chat.append(user, session.id, turns("between"))
        assert await chat.append(user, session.id, message) == first
        assert contents_of(await chat.messages(user, session.id)) == ["once", "between"]
        with pytest.raises(ConflictError):
            await chat.append(user, session.id, replace(message, content="twice"))

    async def test_a_batch_is_appended_all_or_none(self, chat: ChatHistoryStore) -> None:
        user = new_id()
        session = await chat.create_session(user)
        taken = NewMessage("user", "taken")
        await chat.append(user, session.id, taken)
        with pytest.raises(ConflictError):
            await chat.append(user, session.id, [NewMessage("user", "new"), replace(taken, content="other")])
        assert contents_of(await chat.messages(user, session.id)) == ["taken"]

    async def test_messages_are_read_in_pages_from_both_ends(self, chat: ChatHistoryStore) -> None:
        user = new_id()
        session = await chat.create_session(user)
        await chat.append(user, session.id, turns(*(str(i) for i in range(7))))
        first = await chat.messages(user, session.id, limit=3)
        second = await chat.messages(user, session.id, after=first[-1].order, limit=3)
        assert contents_of(first + second) == ["0", "1", "2", "3", "4", "5"]
        last = await chat.last_messages(user, session.id, 2)
        before = await chat.last_messages(user, session.id, 2, before=last[0].order)
        assert contents_of(before + last) == ["3", "4", "5", "6"]
        assert contents_of(await chat.last_messages(user, session.id, 50)) == [str(i) for i in range(7)]
        assert await chat.last_messages(user, session.id, 0) == []

    async def test_many_messages_are_all_read(self, chat: ChatHistoryStore) -> None:
        user = new_id()
        session = await chat.create_session(user)
        wanted = [str(i) for i in range(2_345)]
        await chat.append(user, session.id, turns(*wanted))
        assert contents_of(await chat.messages(user, session.id)) == wanted
        assert await chat.count_messages(user, session.id) == len(wanted)

    async def test_an_edit_changes_what_it_names_and_keeps_the_place(self, chat: ChatHistoryStore) -> None:
        user = new_id()
        session = await chat.create_session(user)
        [one, two, three] = await chat.append(user, session.id, turns("one", "two", "three"))
        edited = await chat.edit_message(user, session.id, two.id, content="2")
        assert edited == replace(two, content="2", version=edited.version)
        assert edited.version > two.version
        noted = await chat.edit_message(user, session.id, two.id, metadata={"seen": True})
        assert (noted.content, noted.metadata) == ("2", {"seen": True})
        assert await chat.messages(user, session.id) == [one, noted, three]
        with pytest.raises(NotFoundError):
            await chat.edit_message(user, session.id, "nobody", content="?")

    async def test_pop_takes_the_last_message_until_none_is_left(self, chat: ChatHistoryStore) -> None:
        user = new_id()
        session = await chat.create_session(user)
        [one, two] = await chat.append(user, session.id, turns("one", "two"))
        assert await chat.pop_message(user, session.id) == two
        assert await chat.pop_message(user, session.id) == one
        assert await chat.pop_message(user, session.id) is None

    async def test_two_pops_at_once_never_get_the_same_message(self, chat: ChatHistoryStore) -> None:
        user = new_id()
        session = await chat.create_session(user)
        await chat.append(user, session.id, turns(*(str(i) for i in range(8))))
        popped = await asyncio.gather(*(chat.pop_message(user, session.id) for _ in range(10)))
        assert sorted(message.content for message in popped if message) == [str(i) for i in range(8)]

    async def test_appends_at_once_are_all_kept_in_one_order(self, chat: ChatHistoryStore) -> None:
        user = new_id()
        session = await chat.create_session(user)
        await asyncio.gather(*(chat.append(user, session.id, turns(f"{i}a", f"{i}b")) for i in range(10)))
        messages = await chat.messages(user, session.id)
        assert sorted(contents_of(messages)) == sorted(f"{i}{c}" for i in range(10) for c in "ab")
        assert len({message.position for message in messages}) == len(messages)
        for i in range(10):
            assert contents_of(messages).index(f"{i}a") + 1 == contents_of(messages).index(f"{i}b")

    async def test_deleted_messages_are_gone_and_the_rest_keep_their_order(self, chat: ChatHistoryStore) -> None:
        user = new_id()
        session = await chat.create_session(user)
        [one, two, three] = await chat.append(user, session.id, turns("one", "two", "three"))
        assert await chat.delete_messages(user, session.id, [one.id, "nobody", two.id]) == 2
        assert await chat.delete_messages(user, session.id, [one.id]) == 0
        assert await chat.messages(user, session.id) == [three]
        await chat.append(user, session.id, turns("four"))
        assert contents_of(await chat.messages(user, session.id)) == ["three", "four"]

    async def test_a_deleted_message_cannot_be_appended_again(self, chat: ChatHistoryStore) -> None:
        user = new_id()
        session = await chat.create_session(user)
        message = NewMessage("user", "gone")
        await chat.append(user, session.id, message)
        await chat.delete_messages(user, session.id, [message.id])
        with pytest.raises(ConflictError):
            await chat.append(user, session.id, message)

    async def test_clear_leaves_an_empty_session(self, chat: ChatHistoryStore) -> None:
        user = new_id()
        session = await chat.create_session(user, title="kept")
        await chat.append(user, session.id, turns("one", "two"))
        await chat.clear_messages(user, session.id)
        assert await chat.messages(user, session.id) == []
        assert (await chat.get_session(user, session.id)).title == "kept"
        await chat.append(user, session.id, turns("three"))
        assert contents_of(await chat.messages(user, session.id)) == ["three"]

    async def test_replace_puts_other_messages_in_their_place(self, chat: ChatHistoryStore) -> None:
        user = new_id()
        session = await chat.create_session(user)
        old = NewMessage("user", "old")
        await chat.append(user, session.id, old)
        new = await chat.replace_messages(user, session.id, turns("new", "newer"))
        assert await chat.messages(user, session.id) == new
        assert contents_of(new) == ["new", "newer"]

    async def test_a_deleted_session_is_gone_with_its_messages(self, chat: ChatHistoryStore) -> None:
        user = new_id()
        session = await chat.create_session(user)
        await chat.append(user, session.id, turns("one"))
        assert await chat.delete_session(user, session.id)
        assert not await chat.delete_session(user, session.id)
        with pytest.raises(NotFoundError):
            await chat.get_session(user, session.id)
        with pytest.raises(NotFoundError):
            await chat.messages(user, session.id)
        assert (await chat.list_sessions(user)).items == ()
        again = await chat.create_session(user, session_id=session.id)
        assert again.version > session.version
        assert await chat.messages(user, session.id) == []

    async def test_sessions_are_listed_newest_first_in_pages(self, chat: ChatHistoryStore) -> None:
        user = new_id()
        sessions = [await chat.create_session(user, title=str(i)) for i in range(5)]
        await chat.append(user, sessions[1].id, turns("touched"))
        listed: list[Session] = []
        after = None
        while True:
            page = await chat.list_sessions(user, limit=2, after=after)
            assert len(page.items) <= 2
            listed += page.items
            if (after := page.next) is None:
                break
        assert [session.title for session in listed] == ["1", "4", "3", "2", "0"]
        assert listed[0].updated_at > sessions[1].updated_at

    async def test_an_expired_session_is_not_seen(self, chat: ChatHistoryStore) -> None:
        user = new_id()
        later = utc_now().replace(microsecond=0) + timedelta(hours=1)
        kept = await chat.create_session(user, expires_at=later)
        assert (await chat.get_session(user, kept.id)).expires_at == later
        gone = await chat.create_session(user, expires_at=utc_now() + timedelta(milliseconds=150))
        await asyncio.sleep(0.3)
        with pytest.raises(NotFoundError):
            await chat.get_session(user, gone.id)
        assert [session.id for session in (await chat.list_sessions(user)).items] == [kept.id]

    @pytest.mark.parametrize(
        "name", ["*", "a:b", "{tag}", "../x", "null", "1", "a\r\nb", "é", "e\u0301", "a,b.(c)\"'\\%_"]
    )
    async def test_any_text_is_an_id(self, chat: ChatHistoryStore, name: str) -> None:
        user, session_id, message_id = (f"{name}{new_id()}{name}" for _ in range(3))
        await chat.create_session(user, session_id=session_id)
        await chat.append(user, session_id, NewMessage("user", "hello", id=message_id))
        assert [message.id for message in await chat.messages(user, session_id)] == [message_id]
        assert [session.id for session in (await chat.list_sessions(user)).items] == [session_id]
        assert await chat.delete_messages(user, session_id, [message_id]) == 1

    async def test_what_no_side_can_hold_is_refused(self, chat: ChatHistoryStore) -> None:
        user = new_id()
        session = await chat.create_session(user)
        nested: JsonObject = {}
        for _ in range(200):
            nested = {"deeper": nested}
        for bad in (
            NewMessage("user", "\ud800"),
            NewMessage("user", "x", metadata={"x": float("nan")}),
            NewMessage("user", "x", metadata=nested),
            NewMessage("user", "x", id=""),
            NewMessage("user", "x", id="x" * 2000),
            NewMessage("", "x"),
            NewMessage("user", "x", created_at=datetime(2020, 1, 1)),  # noqa: DTZ001 - a time without a zone is the point
            NewMessage("user", "x", expires_at=datetime(2120, 1, 1)),  # noqa: DTZ001
        ):
            with pytest.raises(InvalidRecordError):
                await chat.append(user, session.id, bad)
        assert await chat.count_messages(user, session.id) == 0

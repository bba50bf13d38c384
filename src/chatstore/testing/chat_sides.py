"""The conformance suite of chat stores as sides of a migration; its fixture is `chat_side`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from chatstore.errors import ConflictError, NotFoundError
from chatstore.interfaces import ChatSide
from chatstore.models import (
    AppendMessages,
    ChatChange,
    DeleteSession,
    Mark,
    UpdateSession,
    new_id,
    utc_now,
)
from chatstore.testing.chat_lives import ChatLivesSuite
from chatstore.testing.samples import EARLY, RICH, turns


class ChatSideSuite(ChatLivesSuite):
    """What the router and the migrator may rely on, of any `ChatSide`; its fixture is `chat_side`."""

    async def test_a_server_tells_how_busy_it_is_or_says_that_it_cannot(self, chat_side: ChatSide) -> None:
        before = await chat_side.load()
        after = await chat_side.load()
        assert (before is None) == (after is None)
        if before is not None and after is not None:
            assert 0 < after.latency < 60
            assert before.operations is None or before.operations >= 0
            assert before.cpu_seconds is None or 0 < before.cpu_seconds <= (after.cpu_seconds or 0)

    async def test_a_mark_is_set_with_the_write_and_only_if_something_changed(self, chat_side: ChatSide) -> None:
        user, session = await self._session(chat_side)
        marks = [self._mark(chat_side, user, session.id) for _ in range(3)]
        append = AppendMessages(user_id=user, session_id=session.id, messages=tuple(turns("one")))
        await chat_side.write(append, marks[0])
        await chat_side.write(append, marks[1])
        with pytest.raises(NotFoundError):
            await chat_side.write(UpdateSession(user_id=user, session_id=new_id(), title="x"), marks[2])
        assert list(await chat_side.journal.marks_of(user)) == [marks[0]]

    async def test_a_mark_while_open_is_kept_only_by_an_open_journal(self, chat_side: ChatSide) -> None:
        user, session = await self._session(chat_side)
        update = UpdateSession(user_id=user, session_id=session.id, title="x")
        await chat_side.journal.remember(journal_open=False)
        await chat_side.write(update, self._mark(chat_side, user, session.id, while_open=True))
        assert await chat_side.journal.marks_of(user) == []
        await chat_side.journal.remember(journal_open=True)
        mark = self._mark(chat_side, user, session.id, while_open=True)
        await chat_side.write(update, mark)
        assert [m.token for m in await chat_side.journal.marks_of(user)] == [mark.token]

    async def test_it_tells_all_that_it_holds_of_a_user_and_nothing_of_others(self, chat_side: ChatSide) -> None:
        user, session = await self._session(chat_side)
        _, foreign = await self._session(chat_side)
        more = self._foreign(user, new_id())
        await chat_side.put([ChatChange(session_id=more.id, user_id=user, session=more)])
        assert await self._held_by(chat_side, user) == {session.id, more.id}
        await chat_side.write(DeleteSession(user_id=user, session_id=session.id))
        assert await self._held_by(chat_side, user) == {more.id}
        assert await self._held_by(chat_side, foreign.user_id) == {foreign.id}
        assert await self._held_by(chat_side, new_id()) == set()

    async def test_what_one_side_wrote_joins_into_an_equal_side(self, chat_side: ChatSide) -> None:
        """A change replayed onto the side that made it changes nothing."""
        user, session = await self._session(chat_side)
        written = await chat_side.write(
            AppendMessages(user_id=user, session_id=session.id, messages=tuple(turns("one", "two")))
        )
        before = await self._fetched(chat_side, session.id)
        assert written.change is not None
        await chat_side.put([written.change, written.change])
        assert await self._fetched(chat_side, session.id) == before

    async def test_put_takes_a_record_as_it_is(self, chat_side: ChatSide) -> None:
        user, name = new_id(), new_id()
        session = self._foreign(user, name, title="from \x00 afar", metadata=RICH, extra={"odd": "field"})
        messages = tuple(
            self._foreign_message(session, position=5 + i, version=0, content=f"{i}\x00", metadata=RICH)
            for i in range(3)
        )
        await chat_side.put([ChatChange(session_id=name, user_id=user, session=session, messages=messages)])
        assert await chat_side.get_session(user, name) == session
        assert await chat_side.messages(user, name) == list(messages)
        assert [s.id for s in (await chat_side.list_sessions(user)).items] == [name]

    async def test_order_is_by_position_then_id_however_they_arrive(self, chat_side: ChatSide) -> None:
        user, name = new_id(), new_id()
        session = self._foreign(user, name)
        messages = [
            self._foreign_message(session, id=i, position=p) for i, p in (("b", 1), ("a", 1), ("c", 0), ("d", 2))
        ]
        for message in messages:
            await chat_side.put([ChatChange(session_id=name, user_id=user, session=session, messages=(message,))])
        assert [m.id for m in await chat_side.messages(user, name)] == ["c", "a", "b", "d"]
        [appended] = await chat_side.append(user, name, turns("last"))
        assert appended.position == 3

    async def test_the_newer_state_stays_whatever_arrives_late(self, chat_side: ChatSide) -> None:
        user, name = new_id(), new_id()
        old, new = (self._foreign(user, name, title=str(v), version=v) for v in (10, 20))
        old_message, new_message = (self._foreign_message(new, id="m", content=str(v), version=v) for v in (10, 20))
        await chat_side.put([ChatChange(session_id=name, user_id=user, session=new, messages=(new_message,))])
        await chat_side.put([ChatChange(session_id=name, user_id=user, session=old, messages=(old_message,))])
        assert await chat_side.get_session(user, name) == new
        assert await chat_side.messages(user, name) == [new_message]

    async def test_updated_at_is_the_later_of_both(self, chat_side: ChatSide) -> None:
        user, name = new_id(), new_id()
        old = self._foreign(user, name, title="old", version=10, updated_at=EARLY + timedelta(days=2))
        new = self._foreign(user, name, title="new", version=20, updated_at=EARLY + timedelta(days=1))
        await chat_side.put([ChatChange(session_id=name, user_id=user, session=new)])
        await chat_side.put([ChatChange(session_id=name, user_id=user, session=old)])
        assert await chat_side.get_session(user, name) == replace(new, updated_at=old.updated_at)

    async def test_versions_grow_though_the_clock_of_the_other_side_is_ahead(self, chat_side: ChatSide) -> None:
        user, name = new_id(), new_id()
        ahead = 4_000_000_000_000_000
        session = self._foreign(user, name, title="ahead", version=ahead)
        await chat_side.put([ChatChange(session_id=name, user_id=user, session=session)])
        renamed = await chat_side.update_session(user, name, title="later")
        assert renamed.version > ahead
        assert renamed.version & 1 == (chat_side.side == "new")

    async def test_put_does_not_take_another_users_session(self, chat_side: ChatSide) -> None:
        user, session = await self._session(chat_side)
        stolen = self._foreign(new_id(), session.id, version=session.version + 1_000_000)
        with pytest.raises(ConflictError):
            await chat_side.put([ChatChange(session_id=session.id, user_id=stolen.user_id, session=stolen)])
        assert await chat_side.get_session(user, session.id) == session

    async def test_fetch_tells_all_that_is_known_and_nothing_of_strangers(self, chat_side: ChatSide) -> None:
        user, session = await self._session(chat_side)
        [one, two, three] = await chat_side.append(user, session.id, turns("one", "two", "three"))
        await chat_side.delete_messages(user, session.id, [two.id])
        [change] = await self._fetched(chat_side, session.id, new_id())
        assert change.session is not None
        assert change.session.id == session.id
        assert change.messages == (one, three)
        assert [tombstone.id for tombstone in change.tombstones] == [two.id]
        [part] = [
            change
            async for page in chat_side.fetch([session.id], message_ids=[three.id, two.id])
            for change in page.changes
        ]
        assert part.messages == (three,)
        assert [tombstone.id for tombstone in part.tombstones] == [two.id]
        await chat_side.delete_session(user, session.id)
        [deleted] = await self._fetched(chat_side, session.id)
        assert deleted.session is None
        assert deleted.deleted > session.version
        assert deleted.messages == ()

    async def test_keys_tell_every_session_and_go_on_from_a_cursor(self, chat_side: ChatSide) -> None:
        user = new_id()
        sessions = [await chat_side.create_session(user, title=str(i)) for i in range(12)]
        for session in sessions:
            await chat_side.append(user, session.id, turns(f"in {session.title}", "and so on"))
        await chat_side.delete_session(user, sessions[0].id)
        found: set[str] = set()
        cursor = None
        while True:
            walk = chat_side.keys(cursor)
            try:
                page = await anext(walk)
            except StopAsyncIteration:
                break
            finally:
                await walk.aclose()  # type: ignore[attr-defined] # a generator in all stores of ours
            found.update(page.keys)
            if (cursor := page.cursor) is None:
                break
        assert {session.id for session in sessions[1:]} <= found
        scanned = [change async for page in chat_side.scan() for change in page.changes if change.user_id == user]
        assert {change.session_id for change in scanned} == {session.id for session in sessions[1:]}
        assert {m.content for change in scanned for m in change.messages} == {
            "and so on",
            *(f"in {session.title}" for session in sessions[1:]),
        }

    async def test_an_expired_session_is_not_scanned(self, chat_side: ChatSide) -> None:
        user, name = new_id(), new_id()
        gone = replace(self._foreign(user, name), expires_at=utc_now() + timedelta(milliseconds=150))
        await chat_side.put([ChatChange(session_id=name, user_id=user, session=gone)])
        await asyncio.sleep(0.3)
        assert name not in [change.session_id async for page in chat_side.scan() for change in page.changes]

    async def test_a_session_with_many_messages_is_scanned_in_parts(self, chat_side: ChatSide) -> None:
        user, session = await self._session(chat_side)
        wanted = [str(i) for i in range(2_500)]
        await chat_side.append(user, session.id, turns(*wanted))
        sizes: list[int] = []
        found: list[str] = []
        async for page in chat_side.scan():
            for change in page.changes:
                if change.session_id == session.id:
                    sizes.append(len(change.messages))
                    found += [message.content for message in change.messages]
        assert sorted(set(found), key=int) == wanted
        assert max(sizes) <= 1_500

    async def test_count_grows_with_what_is_written(self, chat_side: ChatSide) -> None:
        before = await chat_side.count()
        user, session = await self._session(chat_side)
        await chat_side.append(user, session.id, turns("one", "two"))
        after = await chat_side.count()
        assert (after.sessions - before.sessions, after.messages - before.messages) == (1, 2)
        about = await chat_side.estimate()
        assert about.sessions > 0
        assert about.messages > 0

    async def _held_by(self, side: ChatSide, user_id: str) -> set[str]:
        return {name async for names in side.held_by(user_id) for name in names}

    def _mark(self, side: ChatSide, user: str, session_id: str, *, while_open: bool = False) -> Mark:
        return Mark(key=session_id, user_id=user, side=side.side, op="test", message_ids=("m",), while_open=while_open)

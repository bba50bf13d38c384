"""The part of the conformance suite of chat sides that is about deletions, and lives: what ends, and stays ended."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from chatstore.errors import ConflictError, NotFoundError
from chatstore.interfaces import ChatSide
from chatstore.models import (
    AppendMessages,
    ChatChange,
    CreateSession,
    DeleteMessages,
    DeleteSession,
    JsonObject,
    Message,
    MessageTombstone,
    NewMessage,
    Session,
    new_id,
    utc_now,
)
from chatstore.testing.samples import EARLY, turns


class ChatLivesSuite:
    """What ends of a session, or with it, on any `ChatSide`; `ChatSideSuite` has these tests, too."""

    async def test_a_late_put_brings_no_deleted_message_back(self, chat_side: ChatSide) -> None:
        user, session = await self._session(chat_side)
        written = await chat_side.write(
            AppendMessages(user_id=user, session_id=session.id, messages=tuple(turns("one", "two", "three")))
        )
        assert written.change is not None
        await chat_side.write(
            DeleteMessages(user_id=user, session_id=session.id, message_ids=(written.messages[0].id,))
        )
        popped = await chat_side.pop_message(user, session.id)
        assert popped is not None
        await chat_side.put([written.change])
        assert await chat_side.messages(user, session.id) == [written.messages[1]]
        await chat_side.clear_messages(user, session.id)
        await chat_side.put([written.change])
        assert await chat_side.messages(user, session.id) == []

    async def test_a_late_put_brings_no_deleted_session_back(self, chat_side: ChatSide) -> None:
        user, session = await self._session(chat_side)
        written = await chat_side.write(
            AppendMessages(user_id=user, session_id=session.id, messages=tuple(turns("one")))
        )
        assert written.change is not None
        await chat_side.delete_session(user, session.id)
        await chat_side.put([written.change])
        with pytest.raises(NotFoundError):
            await chat_side.get_session(user, session.id)
        await chat_side.create_session(user, session_id=session.id)
        await chat_side.put([written.change])
        assert await chat_side.messages(user, session.id) == []

    async def test_a_deletion_is_put_like_any_state(self, chat_side: ChatSide) -> None:
        user, session = await self._session(chat_side)
        [one, two] = await chat_side.append(user, session.id, turns("one", "two"))
        change = ChatChange(
            session_id=session.id,
            user_id=user,
            session=session,
            tombstones=(MessageTombstone(one.id, one.version + 1_000_001),),
        )
        await chat_side.put([change])
        assert await chat_side.messages(user, session.id) == [two]
        version = session.version + 10_000_000
        gone = ChatChange(session_id=session.id, user_id=user, session=None, deleted=version, cleared=version)
        await chat_side.put([gone])
        with pytest.raises(NotFoundError):
            await chat_side.messages(user, session.id)
        again = await chat_side.create_session(user, session_id=session.id)
        assert again.version > version

    async def test_a_deletion_of_what_was_never_here_keeps_it_away(self, chat_side: ChatSide) -> None:
        user, name = new_id(), new_id()
        session = self._foreign(user, name, version=10)
        await chat_side.put([ChatChange(session_id=name, user_id=user, session=None, deleted=20, cleared=20)])
        await chat_side.put([ChatChange(session_id=name, user_id=user, session=session)])
        with pytest.raises(NotFoundError):
            await chat_side.get_session(user, name)

    async def test_nothing_of_a_deleted_life_reaches_the_next_one(self, chat_side: ChatSide) -> None:
        user, first = await self._session(chat_side)
        later = first.version + 1_000_000_000
        await chat_side.delete_session(user, first.id)
        second = await chat_side.create_session(user, session_id=first.id, title="second")
        late = self._foreign_message(first, id="late", version=later)
        renamed = replace(first, title="renamed beside the deletion", version=later)
        await chat_side.put([ChatChange(session_id=first.id, user_id=user, session=renamed, messages=(late,))])
        assert second.born > first.born
        assert await chat_side.get_session(user, first.id) == second
        assert await chat_side.messages(user, first.id) == []

    async def test_tombstones_end_with_the_life_of_their_session(self, chat_side: ChatSide) -> None:
        user, first = await self._session(chat_side)
        message = NewMessage("user", "one")
        await chat_side.append(user, first.id, message)
        await chat_side.delete_messages(user, first.id, [message.id])
        written = await chat_side.write(DeleteSession(user_id=user, session_id=first.id))
        assert written.change is not None
        assert await self._fetched(chat_side, first.id) == [written.change]
        assert written.change.tombstones == ()
        await chat_side.create_session(user, session_id=first.id)
        [again] = await chat_side.append(user, first.id, message)
        assert await chat_side.messages(user, first.id) == [again]

    async def test_a_deletion_ends_what_was_written_beside_it_and_spares_the_next_life(
        self, chat_side: ChatSide
    ) -> None:
        user, first = await self._session(chat_side)
        [beside] = await chat_side.append(user, first.id, turns("written beside the deletion"))
        deleted = beside.version - 1
        born = deleted + 2
        second = replace(first, title="second", born=born, version=born)
        kept = self._foreign_message(second, id="kept", version=born)
        change = ChatChange(session_id=first.id, user_id=user, session=second, deleted=deleted, cleared=deleted)
        await chat_side.put([replace(change, messages=(kept,))])
        assert (await chat_side.get_session(user, first.id)).title == "second"
        assert [message.id for message in await chat_side.messages(user, first.id)] == ["kept"]

    async def test_two_creations_beside_each_other_are_one_session(self, chat_side: ChatSide) -> None:
        user, here = await self._session(chat_side)
        [mine] = await chat_side.append(user, here.id, turns("here"))
        here = await chat_side.get_session(user, here.id)
        there = replace(here, title="there", version=here.version + 1001, born=here.born + 1001)
        theirs = self._foreign_message(there, id="there", position=1, version=there.version)
        await chat_side.put([ChatChange(session_id=here.id, user_id=user, session=there, messages=(theirs,))])
        assert await chat_side.get_session(user, here.id) == there
        assert [message.id for message in await chat_side.messages(user, here.id)] == [mine.id, "there"]

    async def test_an_id_passes_to_another_user_after_the_deletion_that_freed_it(self, chat_side: ChatSide) -> None:
        user, first = await self._session(chat_side)
        deleted = first.version + 10
        gone = ChatChange(session_id=first.id, user_id=user, session=None, deleted=deleted, cleared=deleted)
        theirs = replace(first, user_id=new_id(), version=deleted + 2, born=deleted + 2)
        await chat_side.put([gone])
        await chat_side.put([replace(gone, user_id=theirs.user_id, session=theirs)])
        await chat_side.put([gone])
        assert await chat_side.get_session(theirs.user_id, first.id) == theirs
        with pytest.raises(NotFoundError):
            await chat_side.get_session(user, first.id)

    async def test_a_deletion_by_another_user_takes_nothing(self, chat_side: ChatSide) -> None:
        user, session = await self._session(chat_side)
        [kept] = await chat_side.append(user, session.id, turns("kept"))
        deleted = kept.version + 10
        theirs = ChatChange(session_id=session.id, user_id=new_id(), session=None, deleted=deleted, cleared=deleted)
        with pytest.raises(ConflictError):
            await chat_side.put([theirs])
        assert await chat_side.messages(user, session.id) == [kept]

    async def test_a_life_that_expired_is_not_met_again_in_the_next_one(self, chat_side: ChatSide) -> None:
        user, name = new_id(), new_id()
        soon = utc_now() + timedelta(seconds=0.3)
        first = replace(self._foreign(user, name, version=11), expires_at=soon, born=11)
        late = self._foreign_message(first, id="late", version=1_000_000)
        expiring = ChatChange(session_id=name, user_id=user, session=first, messages=(late,))
        await chat_side.put([expiring])
        met = (await chat_side.list_sessions(user)).items
        assert met or utc_now() >= soon, "a machine that is busy may come too late to meet it"
        await asyncio.sleep(0.4)
        second = self._foreign(user, name, title="second", version=21)
        await chat_side.put([ChatChange(session_id=name, user_id=user, session=replace(second, born=21))])
        await chat_side.put([expiring])
        assert (await chat_side.get_session(user, name)).title == "second"
        assert await chat_side.messages(user, name) == []

    async def test_the_end_of_a_life_that_expired_elsewhere_is_written_down(self, chat_side: ChatSide) -> None:
        user, name = new_id(), new_id()
        past = replace(self._foreign(user, name, version=11), expires_at=EARLY, born=11)
        await chat_side.put([ChatChange(session_id=name, user_id=user, session=past)])
        written = await chat_side.write(CreateSession(user_id=user, session_id=name))
        assert written.change is not None
        assert written.change.deleted > 11

    async def _session(self, side: ChatSide) -> tuple[str, Session]:
        user = new_id()
        return user, await side.create_session(user, title="a session")

    async def _fetched(self, side: ChatSide, *session_ids: str) -> list[ChatChange]:
        return [change async for page in side.fetch(session_ids) for change in page.changes]

    def _foreign(
        self,
        user: str,
        session_id: str,
        *,
        title: str = "",
        version: int = 10,
        updated_at: datetime = EARLY,
        metadata: JsonObject | None = None,
        extra: JsonObject | None = None,
    ) -> Session:
        return Session(
            id=session_id,
            user_id=user,
            title=title,
            metadata=metadata or {},
            created_at=EARLY,
            updated_at=updated_at,
            version=version,
            extra=extra or {},
        )

    def _foreign_message(
        self,
        session: Session,
        *,
        id: str | None = None,  # noqa: A002 - the model's own name
        position: int = 0,
        content: str = "",
        version: int = 10,
        metadata: JsonObject | None = None,
    ) -> Message:
        return Message(
            id=id or new_id(),
            session_id=session.id,
            user_id=session.user_id,
            position=position,
            role="user",
            content=content,
            metadata=metadata or {},
            created_at=EARLY,
            version=version,
        )

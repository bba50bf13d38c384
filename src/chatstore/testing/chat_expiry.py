"""The conformance suites of the expiry of messages, in chat stores and in sides; fixtures as in the other suites."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

import pytest

from chatstore.errors import NotFoundError
from chatstore.interfaces import ChatHistoryStore, ChatSide
from chatstore.models import (
    ChatChange,
    CreateSession,
    Message,
    NewMessage,
    Session,
    new_id,
    utc_now,
)
from chatstore.testing.samples import EARLY, contents_of

_LASTS = 0.2
_UNTIL_GONE = 0.25


def in_an_hour() -> datetime:
    """Return a time, to the millisecond: some servers keep no more of an expiry."""
    return utc_now().replace(microsecond=0) + timedelta(hours=1)


def soon() -> datetime:
    """Return a time that has come when `gone` returns; to the millisecond."""
    at = utc_now() + timedelta(seconds=_LASTS)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


async def gone() -> None:
    """Wait until what was to expire `soon` has expired."""
    await asyncio.sleep(_UNTIL_GONE)


def said(content: str, expires_at: datetime | None = None) -> NewMessage:
    """Return a message to append."""
    return NewMessage("user", content, expires_at=expires_at)


class ChatExpirySuite:
    """What an app may rely on where a message has an expiry, of any `ChatHistoryStore`; its fixture is `chat`."""

    async def test_a_message_keeps_its_expiry_and_an_edit_changes_none(self, chat: ChatHistoryStore) -> None:
        user, later = new_id(), in_an_hour()
        session = await chat.create_session(user)
        [one, two] = await chat.append(user, session.id, [said("one", later), said("two")])
        assert (one.expires_at, two.expires_at) == (later, None)
        edited = await chat.edit_message(user, session.id, one.id, content="1")
        assert edited == replace(one, content="1", version=edited.version)
        assert await chat.messages(user, session.id) == [edited, two]
        assert await chat.last_messages(user, session.id, 2) == [edited, two]
        popped = [await chat.pop_message(user, session.id) for _ in range(2)]
        assert popped == [two, edited]

    async def test_no_read_finds_a_message_that_has_expired(self, chat: ChatHistoryStore) -> None:
        user, soon_, later = new_id(), soon(), in_an_hour()
        session = await chat.create_session(user)
        given = [
            said("first", soon_), said("a", later), said("between", soon_), said("b"), said("last", soon_),
        ]  # fmt: skip
        await chat.append(user, session.id, given)
        await gone()
        assert contents_of(await chat.messages(user, session.id)) == ["a", "b"]
        assert await chat.count_messages(user, session.id) == 2
        first = await chat.messages(user, session.id, limit=1)
        second = await chat.messages(user, session.id, after=first[-1].order, limit=1)
        third = await chat.messages(user, session.id, after=second[-1].order, limit=1)
        assert contents_of(first + second + third) == ["a", "b"]
        last = await chat.last_messages(user, session.id, 1)
        before = await chat.last_messages(user, session.id, 1, before=last[0].order)
        none = await chat.last_messages(user, session.id, 1, before=before[0].order)
        assert contents_of(none + before + last) == ["a", "b"]

    async def test_a_command_takes_a_message_that_has_expired_for_none(self, chat: ChatHistoryStore) -> None:
        user, soon_ = new_id(), soon()
        session = await chat.create_session(user)
        lost, again, last = said("lost", soon_), said("again", soon_), said("last", soon_)
        await chat.append(user, session.id, [said("kept"), lost, again, last])
        await gone()
        assert await chat.delete_messages(user, session.id, [lost.id]) == 0
        with pytest.raises(NotFoundError):
            await chat.edit_message(user, session.id, lost.id, content="found")
        popped = await chat.pop_message(user, session.id)
        assert popped is not None
        assert popped.content == "kept"
        assert await chat.pop_message(user, session.id) is None
        [new] = await chat.append(user, session.id, replace(again, content="other", expires_at=None))
        assert await chat.messages(user, session.id) == [new]
        assert (new.content, new.expires_at) == ("other", None)

    async def test_the_id_of_a_message_that_has_expired_is_free_for_a_replacement(self, chat: ChatHistoryStore) -> None:
        user, again = new_id(), said("again", soon())
        session = await chat.create_session(user)
        await chat.append(user, session.id, [again, said("replaced")])
        await gone()
        [only] = await chat.replace_messages(user, session.id, [replace(again, expires_at=None)])
        assert await chat.messages(user, session.id) == [only]


class ChatSideExpirySuite:
    """What the router and the migrator may rely on where a message has an expiry; the fixture is `chat_side`."""

    async def test_put_carries_an_expiry_and_takes_nothing_that_has_expired(self, chat_side: ChatSide) -> None:
        user, name, later = new_id(), new_id(), in_an_hour()
        session = _session(user, name)
        lives, newer, dead = (
            _message(session, name, place, expires_at=at)
            for place, (name, at) in enumerate((("lives", later), ("newer", None), ("dead", EARLY)))
        )
        await chat_side.put([_change(session, lives, newer, dead)])
        assert await chat_side.messages(user, name) == [lives, newer]
        longer = replace(lives, version=12, expires_at=later + timedelta(hours=1))
        shorter = replace(newer, version=12, content="has expired", expires_at=EARLY)
        await chat_side.put([_change(session, longer, shorter)])
        assert await chat_side.messages(user, name) == [longer]
        [told] = [change async for page in chat_side.fetch([name]) for change in page.changes]
        assert (told.messages, told.tombstones) == ((longer,), ())

    async def test_what_has_expired_is_neither_scanned_nor_fetched(self, chat_side: ChatSide) -> None:
        user = new_id()
        kept, short = [await chat_side.create_session(user) for _ in range(2)]
        [stays, goes] = await chat_side.append(user, kept.id, [said("stays"), said("goes")])
        await chat_side.append(user, short.id, said("goes with its session"))
        await chat_side.put([_change(kept, _ending(goes)), _change(_ending(short))])
        await gone()
        assert [change async for page in chat_side.fetch([short.id]) for change in page.changes] == []
        [part] = [
            change
            async for page in chat_side.fetch([kept.id], message_ids=[stays.id, goes.id])
            for change in page.changes
        ]
        assert (part.messages, part.tombstones) == ((stays,), ())
        found = [c async for page in chat_side.scan() for c in page.changes if c.session_id in (kept.id, short.id)]
        assert [(change.session_id, change.messages) for change in found] == [(kept.id, (stays,))]

    @pytest.mark.parametrize("swept", [True, False], ids=["swept", "not-swept"])
    async def test_nothing_that_expired_comes_back_by_a_late_put(self, chat_side: ChatSide, *, swept: bool) -> None:
        user = new_id()
        kept, short = [await chat_side.create_session(user) for _ in range(2)]
        [goes] = await chat_side.append(user, kept.id, said("goes"))
        [within] = await chat_side.append(user, short.id, said("goes with its session"))
        late = [_change(kept, _ending(goes)), _change(_ending(short), within)]
        await chat_side.put(late)
        await gone()
        while swept and (await chat_side.sweep()).more:
            pass
        await chat_side.put(late)
        assert await chat_side.messages(user, kept.id) == []
        assert not await chat_side.delete_session(user, short.id)
        with pytest.raises(NotFoundError):
            await chat_side.messages(user, short.id)
        again = await chat_side.write(CreateSession(user_id=user, session_id=short.id, title="another life"))
        await chat_side.put(late)
        assert again.session is not None
        assert again.change is not None
        assert again.change.deleted > short.born
        assert await chat_side.get_session(user, short.id) == again.session
        assert await chat_side.messages(user, short.id) == []


_Record = TypeVar("_Record", Session, Message)


def _ending(record: _Record) -> _Record:
    """Return a newer state of a record, which expires soon."""
    return replace(record, expires_at=soon(), version=record.version + 1_000_000)


def _session(user: str, name: str) -> Session:
    return Session(id=name, user_id=user, created_at=EARLY, updated_at=EARLY, version=10)


def _message(session: Session, content: str, position: int, *, expires_at: datetime | None) -> Message:
    return Message(
        id=new_id(),
        session_id=session.id,
        user_id=session.user_id,
        position=position,
        role="user",
        content=content,
        created_at=EARLY,
        expires_at=expires_at,
        version=10,
    )


def _change(session: Session, *messages: Message) -> ChatChange:
    return ChatChange(session_id=session.id, user_id=session.user_id, session=session, messages=messages)

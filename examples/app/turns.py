"""A turn of a conversation: what the user says, what is found on it, and the answer, told as it is made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext

from pydantic import BaseModel

from chatstore import InvalidRecordError, Message, NewMessage, TokenRefusedError
from chatstore.models import JsonValue
from chatstore.routing import ChatRouter
from chatstore.stores import Stores, UserStores
from examples.app.responder import ModelError, Responder
from examples.app.shapes import MatchShape, MessageShape

logger = logging.getLogger(__name__)

_HISTORY = 20
_SOURCES = 3
_TITLE = 60


class Event(BaseModel):
    """One thing that happens in a turn; exactly one of its fields is there.

    Attributes:
        said: What the user said, as it is stored. Always the first.
        sources: What the answer is made from, with the scores.
        token: A piece of the answer.
        answer: The whole answer, as it is stored. The last, if all went well.
        error: What went wrong, for the user. The last, if anything did.
    """

    said: MessageShape | None = None
    sources: list[MatchShape] | None = None
    token: str | None = None
    answer: MessageShape | None = None
    error: str | None = None


class Turns:
    """Makes turns. One goes on to its end when the browser that began it goes away: a reload then shows the answer."""

    def __init__(self, stores: Stores, responder: Responder) -> None:
        self._stores = stores
        self._responder = responder
        self._under_way: set[asyncio.Task[None]] = set()

    async def begin(self, user: UserStores, session_id: str, content: str) -> AsyncIterator[Event]:
        """Append what a user says; return what happens from there on.

        Raises:
            ChatStoreError: It could not be appended: the user has no such session, say.
        """
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        said: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._turn(user, session_id, content, said, events))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return _all(await asyncio.shield(said), events)

    async def finish(self) -> None:
        """Wait until no turn is under way."""
        await asyncio.gather(*self._under_way)

    async def _turn(
        self,
        user: UserStores,
        session_id: str,
        content: str,
        said: asyncio.Future[Event],
        events: asyncio.Queue[Event | None],
    ) -> None:
        try:
            async with self._one_stage(user.user_id, session_id):
                message = await self._say(user, session_id, content)
                said.set_result(Event(said=MessageShape.of(message)))
                await self._answer(user, session_id, message, events)
        except Exception as error:  # noqa: BLE001 - it is told to whoever waits for the turn
            if not said.done():
                said.set_exception(error)
            else:
                logger.warning("a turn ended early: %s", type(error).__name__)
                text = (
                    str(error)
                    if isinstance(error, ModelError | InvalidRecordError)
                    else "the answer could not be finished; try again"
                )
                events.put_nowait(Event(error=text))
        finally:
            events.put_nowait(None)

    def _one_stage(self, user_id: str, session_id: str) -> AbstractAsyncContextManager[object]:
        """Hold one stage for a whole turn, so that none straddles a flip; a store that has one side has no stage."""
        chat = self._stores.chat
        return chat.turn(user_id, session_id) if isinstance(chat, ChatRouter) else nullcontext()

    async def _say(self, user: UserStores, session_id: str, content: str) -> Message:
        [message] = await user.chat.append(session_id, NewMessage("user", content))
        session = await user.chat.get_session(session_id)
        if not session.title:
            await user.chat.update_session(session_id, title=_short(content))
        return message

    async def _answer(
        self, user: UserStores, session_id: str, said: Message, events: asyncio.Queue[Event | None]
    ) -> None:
        matches = await user.documents.search(said.content, k=_SOURCES)
        sources = [MatchShape.of(match) for match in matches]
        events.put_nowait(Event(sources=sources))
        history = await user.chat.last_messages(session_id, _HISTORY)
        answer = ""
        async for token in self._responder.answer(history, matches):
            answer += token
            events.put_nowait(Event(token=token))
        told: list[JsonValue] = [{"id": source.id, "title": source.title, "score": source.score} for source in sources]
        stored = await self._store(user, session_id, NewMessage("assistant", answer, metadata={"sources": told}))
        events.put_nowait(Event(answer=MessageShape.of(stored)))

    async def _store(self, user: UserStores, session_id: str, answer: NewMessage) -> Message:
        try:
            [stored] = await user.chat.append(session_id, answer)
        except TokenRefusedError:  # the answer took longer than the token is good for: the app writes it for its user
            [stored] = await self._stores.chat.append(user.user_id, session_id, answer)
        return stored


async def _all(first: Event, events: asyncio.Queue[Event | None]) -> AsyncIterator[Event]:
    event: Event | None = first
    while event is not None:
        yield event
        event = await events.get()


def _short(content: str) -> str:
    line = " ".join(content.split())
    return line if len(line) <= _TITLE else line[: _TITLE - 1].rstrip() + "…"

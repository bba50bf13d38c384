"""Chat history for LangChain: a `BaseChatMessageHistory` over any chat store.

    history = ChatstoreHistory("session-1", chat=stores.chat, user_id="user-1")

It stands where `RedisChatMessageHistory` stood, and reads what that wrote. The interface:
https://python.langchain.com/api_reference/core/chat_history.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from chatstore.errors import NotFoundError
from chatstore.integrations.langchain.messages import MISSING, message_of, new_message
from chatstore.integrations.named_user import append_or_create, chat_of
from chatstore.integrations.reach import Reach
from chatstore.interfaces import UserChat
from chatstore.models import Message
from chatstore.models.values import check_id

try:
    from langchain_core.chat_history import BaseChatMessageHistory
except ImportError as error:
    raise ImportError(MISSING) from error

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from chatstore.integrations.named_user import AnyChat

__all__ = ["ChatstoreHistory"]


class ChatstoreHistory(BaseChatMessageHistory):
    """The messages of one session of one user, as LangChain's.

    The session is created by the first write to it; one that is not there, or is another user's, has no messages. All
    errors are `ChatStoreError`s. Nothing needs to be closed but the stores.

    Args:
        session_id: Which session.
        chat: A chat store, the router of `chatstore.open()` for one; or a user's own, `stores.for_user(token).chat`;
            or the blocking facade of either, by which the blocking and the async methods can be used in any thread.
            Of an async store the async methods can be used; the blocking ones from other threads alone, and where this
            object was made, or used before, in the store's event loop.
        user_id: Whose session. Left out where a token has said it already.

    Raises:
        ConfigurationError: There is no user, or there are two.
        InvalidRecordError: An id is none.
    """

    def __init__(self, session_id: str, *, chat: AnyChat, user_id: str | None = None) -> None:
        chat_of(chat, user_id)  # refuses what is no user's
        self.session_id = check_id(session_id, "session id")
        self._reach = Reach[UserChat](chat, partial(chat_of, user_id=user_id))

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override] # which LangChain's own histories do as well
        """All messages of the session, oldest first.

        Raises:
            UnsupportedError: LangChain has no such message; or the call is one that the store's loop cannot do.
        """
        return [message_of(message) for message in self._reach.drive(self._read)]

    async def aget_messages(self) -> list[BaseMessage]:
        return [message_of(message) for message in await self._reach.wait(self._read)]

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Append messages at the end of the session, all or none, in one atomic step.

        A call that ended with an `UnavailableError` may have been done; repeated, it may append them twice.

        Raises:
            ConflictError: The session is another user's.
            InvalidRecordError: A message holds what JSON cannot; nothing is appended.
            UnavailableError: The server did not answer.
        """
        self._reach.drive(self._adding(messages))

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        await self._reach.wait(self._adding(messages))

    def clear(self) -> None:
        """Delete all messages of the session; the session stays, with its title and its metadata. Idempotent."""
        self._reach.drive(self._clear)

    async def aclear(self) -> None:
        await self._reach.wait(self._clear)

    async def _read(self, chat: UserChat) -> list[Message]:
        try:
            return await chat.messages(self.session_id)
        except NotFoundError:
            return []

    def _adding(self, messages: Sequence[BaseMessage]) -> Callable[[UserChat], Awaitable[None]]:
        news = [new_message(message) for message in messages]

        async def add(chat: UserChat) -> None:
            if news:
                await append_or_create(chat, self.session_id, news)

        return add

    async def _clear(self, chat: UserChat) -> None:
        try:
            await chat.clear_messages(self.session_id)
        except NotFoundError:
            return

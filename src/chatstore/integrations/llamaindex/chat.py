"""Chat history for LlamaIndex: its two interfaces for chat stores over any of chatstore's.

    store = ChatstoreChatStore(stores.chat, user_id="user-1")
    memory = ChatMemoryBuffer.from_defaults(chat_store=store, chat_store_key="conversation-1")

    store = ChatstoreDBChatStore(stores.chat, user_id="user-1")
    memory = Memory.from_defaults(chat_store=store, session_id="conversation-1")

A key of LlamaIndex's is a session. A message is one as chatstore reads it from LlamaIndex's own `RedisChatStore` (the
layout `llamaindex`): both read what the other wrote, on either side and at every stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from chatstore.errors import InvalidRecordError
from chatstore.integrations.llamaindex import calls
from chatstore.integrations.llamaindex.messages import MISSING, new_message, read
from chatstore.integrations.named_user import chat_of
from chatstore.integrations.reach import Reach
from chatstore.interfaces import UserChat
from chatstore.models import Message, NewMessage

try:
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.core.bridge.pydantic import PrivateAttr
    from llama_index.core.storage.chat_store.base import BaseChatStore
    from llama_index.core.storage.chat_store.base_db import AsyncDBChatStore, MessageStatus
except ImportError as error:
    raise ImportError(MISSING) from error

if TYPE_CHECKING:
    from chatstore.integrations.named_user import AnyChat

__all__ = ["ChatstoreChatStore", "ChatstoreDBChatStore"]


class ChatstoreChatStore(BaseChatStore):
    """The sessions of one user, as LlamaIndex's `BaseChatStore`: for `ChatMemoryBuffer` and the like.

    A session is created by the first write to it; one that is not there, or is another user's, has no messages. All
    errors are `ChatStoreError`s. Nothing needs to be closed but the stores.

    Args:
        chat: A chat store, the router of `chatstore.open()` for one; or a user's own, `stores.for_user(token).chat`;
            or the blocking facade of either, by which the blocking and the async methods can be used in any thread.
            Of an async store the async methods can be used; the blocking ones from other threads alone, and where
            this object was made, or used before, in the store's event loop.
        user_id: Whose sessions. Left out where a token has said it already.

    Raises:
        ConfigurationError: There is no user, or there are two.
        InvalidRecordError: The user's id is none.
    """

    _reach: Reach[UserChat] = PrivateAttr()

    def __init__(self, chat: AnyChat, *, user_id: str | None = None) -> None:
        chat_of(chat, user_id)  # refuses what is no user's
        super().__init__()
        self._reach = Reach[UserChat](chat, partial(chat_of, user_id=user_id))

    @classmethod
    def class_name(cls) -> str:
        return "ChatstoreChatStore"

    def set_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """Replace all messages of a session in one atomic step.

        Raises:
            ConflictError: The session is another user's.
            InvalidRecordError: A message holds what JSON cannot, or would not read back; nothing is changed.
        """
        self._reach.drive(calls.replacing(key, _new(messages)))

    async def aset_messages(self, key: str, messages: list[ChatMessage]) -> None:
        await self._reach.wait(calls.replacing(key, _new(messages)))

    def get_messages(self, key: str) -> list[ChatMessage]:
        """Return a session's messages, oldest first.

        Raises:
            UnsupportedError: LlamaIndex has no such message: the app itself wrote one of a role of its own.
        """
        return read(self._reach.drive(calls.reading(key)))

    async def aget_messages(self, key: str) -> list[ChatMessage]:
        return read(await self._reach.wait(calls.reading(key)))

    def add_message(self, key: str, message: ChatMessage) -> None:
        """Append a message; errors are those of `set_messages`."""
        self._reach.drive(calls.adding(key, _new([message])))

    async def async_add_message(self, key: str, message: ChatMessage) -> None:
        await self._reach.wait(calls.adding(key, _new([message])))

    def delete_messages(self, key: str) -> list[ChatMessage] | None:
        """Delete all messages of a session in one step; the session stays, with its title and its metadata.

        Returns:
            What was there just before; None when there is no such session.
        """
        return _read_if_any(self._reach.drive(calls.clearing(key)))

    async def adelete_messages(self, key: str) -> list[ChatMessage] | None:
        return _read_if_any(await self._reach.wait(calls.clearing(key)))

    def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Delete the message at a place, from 0, or from the end where it is negative, and return it.

        None when there is none at that place. Two calls never get the same message.
        """
        return _read_one(self._reach.drive(calls.deleting_at(key, idx)))

    async def adelete_message(self, key: str, idx: int) -> ChatMessage | None:
        return _read_one(await self._reach.wait(calls.deleting_at(key, idx)))

    def delete_last_message(self, key: str) -> ChatMessage | None:
        """Delete the last message and return it; None when there is none. Two calls never get the same message."""
        return _read_one(self._reach.drive(calls.popping(key)))

    async def adelete_last_message(self, key: str) -> ChatMessage | None:
        return _read_one(await self._reach.wait(calls.popping(key)))

    def get_keys(self) -> list[str]:
        """Return the ids of all of the user's sessions, those without messages too, the last written one first."""
        return self._reach.drive(calls.listing)

    async def aget_keys(self) -> list[str]:
        return await self._reach.wait(calls.listing)


class ChatstoreDBChatStore(AsyncDBChatStore):
    """The sessions of one user, as LlamaIndex's `AsyncDBChatStore`: for `Memory`.

    What `ChatstoreChatStore` says holds here, too. An archived message stays where it is in its session; that it is
    archived is in its metadata, as `llama_index_status`.

    Args:
        chat: As of `ChatstoreChatStore`. `Memory`'s blocking methods make event loops of their own: give the stores of
            `chatstore.open_blocking()` for these.
        user_id: As there.

    Raises:
        ConfigurationError: There is no user, or there are two.
        InvalidRecordError: The user's id is none.
    """

    _reach: Reach[UserChat] = PrivateAttr()

    def __init__(self, chat: AnyChat, *, user_id: str | None = None) -> None:
        chat_of(chat, user_id)
        super().__init__()
        self._reach = Reach[UserChat](chat, partial(chat_of, user_id=user_id))

    @classmethod
    def class_name(cls) -> str:
        return "ChatstoreDBChatStore"

    async def get_messages(
        self,
        key: str,
        status: MessageStatus | None = MessageStatus.ACTIVE,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[ChatMessage]:
        """Return a session's messages, oldest first.

        All of them are read, however many are archived.

        Args:
            key: Which session.
            status: Only these; None: all.
            limit: At most how many.
            offset: How many to leave out at the beginning.

        Raises:
            InvalidRecordError: `limit` or `offset` is negative.
            UnsupportedError: LlamaIndex has no such message: the app itself wrote one of a role of its own.
        """
        first, count = offset or 0, limit
        if first < 0 or (count is not None and count < 0):
            raise InvalidRecordError("`limit` and `offset` count messages: neither is negative")
        found = await self._reach.wait(calls.reading(key, _value(status)))
        return read(found[first : None if count is None else first + count])

    async def count_messages(self, key: str, status: MessageStatus | None = MessageStatus.ACTIVE) -> int:
        """Return how many messages a session has, of a status, or of all where it is None."""
        return await self._reach.wait(calls.counting(key, _value(status)))

    async def add_message(self, key: str, message: ChatMessage, status: MessageStatus = MessageStatus.ACTIVE) -> None:
        await self.add_messages(key, [message], status)

    async def add_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Append messages, all or none.

        Raises:
            ConflictError: The session is another user's.
            InvalidRecordError: A message holds what JSON cannot, or would not read back; nothing is changed.
        """
        await self._reach.wait(calls.adding(key, _new(messages, status)))

    async def set_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Replace all messages of a session, of whatever status, in one atomic step; errors as of `add_messages`."""
        await self._reach.wait(calls.replacing(key, _new(messages, status)))

    async def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Delete the message at a place among all of the session's, as `ChatstoreChatStore.delete_message` does."""
        return _read_one(await self._reach.wait(calls.deleting_at(key, idx)))

    async def delete_messages(self, key: str, status: MessageStatus | None = None) -> None:
        """Delete a session's messages, all of them in one step, or those of a status. The session stays."""
        if status is None:
            await self._reach.wait(calls.clearing(key))
        else:
            await self._reach.wait(calls.deleting_oldest(key, None, status.value))

    async def delete_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Delete the oldest `n` active messages and return them; two calls at once may return the same."""
        return read(await self._reach.wait(calls.deleting_oldest(key, n, calls.ACTIVE)))

    async def archive_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Archive the oldest `n` active messages, one after the other, the oldest first, and return them.

        One that is deleted meanwhile is not returned. Two calls at once may return the same.
        """
        return read(await self._reach.wait(calls.archiving_oldest(key, n)))

    async def get_keys(self) -> list[str]:
        """Return the ids of all of the user's sessions, those without messages too, the last written one first."""
        return await self._reach.wait(calls.listing)


def _new(messages: Sequence[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE) -> list[NewMessage]:
    return [new_message(message, calls.MARKS[status.value]) for message in messages]


def _value(status: MessageStatus | None) -> str | None:
    return None if status is None else status.value


def _read_one(message: Message | None) -> ChatMessage | None:
    return None if message is None else read([message])[0]


def _read_if_any(messages: list[Message] | None) -> list[ChatMessage] | None:
    return None if messages is None else read(messages)

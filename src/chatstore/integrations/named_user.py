"""A store's chat history as one user has it, for frameworks whose calls name no user.

An app gives what it has: a store with a user's id, what a user's token opened, or the blocking facade of either.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from chatstore.errors import ConfigurationError, ConflictError, NotFoundError
from chatstore.interfaces import ChatHistoryStore, DocumentStore, UserChat, UserDocuments
from chatstore.models import NewMessage
from chatstore.models.values import check_id

if TYPE_CHECKING:
    from chatstore.sync import BlockingChatHistory, BlockingDocuments, BlockingUserChat, BlockingUserDocuments

    AnyDocuments: TypeAlias = DocumentStore | UserDocuments | BlockingDocuments | BlockingUserDocuments
    AnyChat: TypeAlias = ChatHistoryStore | UserChat | BlockingChatHistory | BlockingUserChat

R = TypeVar("R")


class NamedUserChat(UserChat):
    """The methods of `UserChat`, for a user who is named rather than known by a token.

    Args:
        store: A store, or its blocking facade, whose calls wait in a thread of their own.
        user_id: Whose sessions.
    """

    def __init__(self, store: ChatHistoryStore | BlockingChatHistory | BlockingUserChat, *user_id: str) -> None:
        self._named, self._user_id = store, user_id

    async def _call(self, method: str, /, *args: Any, **kwargs: Any) -> Any:
        call = getattr(self._named, method)
        if isinstance(self._named, ChatHistoryStore):
            return await call(*self._user_id, *args, **kwargs)
        return await asyncio.to_thread(call, *self._user_id, *args, **kwargs)


class NamedUserDocuments(UserDocuments):
    """The methods of `UserDocuments`, for a user who is named rather than known by a token."""

    def __init__(self, store: DocumentStore, user_id: str) -> None:
        self._named, self._user_id = store, user_id

    async def _call(self, method: str, /, *args: Any, **kwargs: Any) -> Any:
        return await getattr(self._named, method)(self._user_id, *args, **kwargs)


def check_user(part: AnyChat | AnyDocuments, user_id: str | None) -> None:
    """Check that what is given and the user's id say together whose it is.

    Raises:
        ConfigurationError: There is no user, or there are two.
        InvalidRecordError: The id is none.
    """
    call = getattr(part, "append", None) or getattr(part, "upsert", None)
    if call is None:
        raise ConfigurationError(f"a {type(part).__name__} was given: give the `chat` or `documents` of the stores")
    by_token = "user_id" not in inspect.signature(call).parameters
    if by_token and user_id is not None:
        raise ConfigurationError("what was given is its token's user's: leave out `user_id`")
    if not by_token and user_id is None:
        raise ConfigurationError("whose records are they? give `user_id`, or what `stores.for_user(token)` has")
    if user_id is not None:
        check_id(user_id, "user id")


def documents_of(documents: DocumentStore | UserDocuments, user_id: str | None) -> UserDocuments:
    """Return a user's documents; see `check_user`."""
    return documents if isinstance(documents, UserDocuments) else NamedUserDocuments(documents, user_id or "")


def chat_of(chat: AnyChat, user_id: str | None) -> UserChat:
    """Return a user's chat history.

    Args:
        chat: A store, or what a user's token opened; each may be the blocking one.
        user_id: Whose it is; None where a token has said it already.

    Raises:
        ConfigurationError: There is no user, or there are two.
        InvalidRecordError: The id is none.
    """
    check_user(chat, user_id)
    if isinstance(chat, UserChat):
        return chat
    return NamedUserChat(chat, *([] if user_id is None else [user_id]))


async def append_or_create(chat: UserChat, session_id: str, messages: list[NewMessage]) -> None:
    """Append messages to a session, which is created when it is not there yet.

    Raises:
        ConflictError: Another user has a session of that id.
    """
    await or_create(chat, session_id, lambda: chat.append(session_id, messages))


async def or_create(chat: UserChat, session_id: str, write: Callable[[], Awaitable[R]]) -> R:
    """Write to a session, which is created when it is not there yet, and return what the write returns.

    Raises:
        ConflictError: Another user has a session of that id.
    """
    try:
        return await write()
    except NotFoundError:
        pass
    try:
        await chat.create_session(session_id=session_id)
    except ConflictError as conflict:
        # Made just now with a title, or another user's.
        try:
            return await write()
        except NotFoundError:
            raise conflict from None
    return await write()

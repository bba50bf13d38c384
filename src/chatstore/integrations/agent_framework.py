"""Chat history for Microsoft's Agent Framework: a `HistoryProvider` over any chat store.

    history = ChatstoreHistoryProvider(stores.chat, user_id="user-1")
    agent = Agent(client, context_providers=[history])

A message is one as chatstore reads it from the framework's own `RedisHistoryProvider` (the layout `agent-framework`):
both read what the other wrote, on either side and at every stage.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from chatstore.errors import ConfigurationError, InvalidRecordError, NotFoundError, UnsupportedError
from chatstore.integrations.named_user import append_or_create, chat_of
from chatstore.integrations.reach import Reach
from chatstore.interfaces import UserChat
from chatstore.models import Message as Stored
from chatstore.models import NewMessage
from chatstore.models.values import check_object
from chatstore.redis.layouts.agent_framework_chat import AgentFrameworkChat
from chatstore.redis.layouts.fields import BadFieldError
from chatstore.redis.layouts.json_items import ID, ITEM

try:
    from agent_framework import HistoryProvider, Message
except ImportError as error:
    raise ImportError(
        "Microsoft's Agent Framework is not installed: pip install 'chatstore[agent-framework]'"
    ) from error

if TYPE_CHECKING:
    from chatstore.integrations.named_user import AnyChat

__all__ = ["ChatstoreHistoryProvider"]

_LAYOUT = AgentFrameworkChat()


class ChatstoreHistoryProvider(HistoryProvider):
    """The sessions of one user, as Agent Framework's history of its sessions.

    A session is created by the first messages that are saved; one that is not there, or is another user's, has none.
    All errors are `ChatStoreError`s. Nothing needs to be closed but the stores.

    Args:
        chat: A chat store, the router of `chatstore.open()` for one; or a user's own, `stores.for_user(token).chat`;
            or the blocking facade of either, whose calls wait in a thread of their own.
        user_id: Whose sessions. Left out where a token has said it already.
        source_id: What the framework calls this provider among an agent's others.
        load_messages: Whether a run gets what was saved.
        store_inputs: Whether what a run was given is saved.
        store_context_messages: Whether what other providers added is saved, too.
        store_context_from: Only of these providers.
        store_outputs: Whether what a run answered is saved.

    Raises:
        ConfigurationError: There is no user, or there are two.
        InvalidRecordError: The user's id is none.
    """

    def __init__(
        self,
        chat: AnyChat,
        *,
        user_id: str | None = None,
        source_id: str = "chatstore",
        load_messages: bool = True,
        store_inputs: bool = True,
        store_context_messages: bool = False,
        store_context_from: set[str] | None = None,
        store_outputs: bool = True,
    ) -> None:
        chat_of(chat, user_id)  # refuses what is no user's
        super().__init__(
            source_id,
            load_messages=load_messages,
            store_inputs=store_inputs,
            store_context_messages=store_context_messages,
            store_context_from=store_context_from,
            store_outputs=store_outputs,
        )
        self._reach = Reach[UserChat](chat, partial(chat_of, user_id=user_id))

    async def get_messages(
        self, session_id: str | None, *, state: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[Message]:
        """Return a session's messages, oldest first.

        Args:
            session_id: Which session.
            state: Not used: nothing is kept in it.
            **kwargs: Not used.

        Raises:
            ConfigurationError: There is no session.
            UnsupportedError: The framework has no such message.
        """
        del state, kwargs
        key = _named(session_id)

        async def read(chat: UserChat) -> list[Stored]:
            try:
                return await chat.messages(key)
            except NotFoundError:
                return []

        return [_message_of(stored) for stored in await self._reach.wait(read)]

    async def save_messages(
        self,
        session_id: str | None,
        messages: Sequence[Message],
        *,
        state: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Append messages, all or none, in one atomic step.

        Args:
            session_id: Which session.
            messages: The messages.
            state: Not used: nothing is kept in it.
            **kwargs: Not used.

        Raises:
            ConfigurationError: There is no session.
            ConflictError: The session is another user's.
            InvalidRecordError: A message holds what JSON cannot, or would not read back; nothing is saved.
        """
        del state, kwargs
        key = _named(session_id)
        news = [_new_message(message) for message in messages]
        if news:
            await self._reach.wait(lambda chat: append_or_create(chat, key, news))

    async def clear(self, session_id: str | None) -> None:
        """Delete all messages of a session in one step; the session stays, with its title and its metadata."""
        key = _named(session_id)

        async def clear(chat: UserChat) -> None:
            try:
                await chat.clear_messages(key)
            except NotFoundError:
                return

        await self._reach.wait(clear)


def _named(session_id: str | None) -> str:
    if session_id is None:
        raise ConfigurationError(
            "the run has no session, and all such runs would share their history: give it one, "
            "`agent.run(..., session=agent.create_session(session_id=...))`"
        )
    return session_id


def _new_message(message: Message) -> NewMessage:
    if not isinstance(message, Message):
        raise InvalidRecordError(f"a {type(message).__name__} was given for a message: give the framework's `Message`")
    item = message.to_dict()
    check_object(item, f"message of the role {message.role!r}")
    _check_nothing_left_out(message.additional_properties, item)
    for content, content_item in zip(message.contents, item["contents"], strict=True):
        _check_nothing_left_out(content.additional_properties, content_item)
    try:
        comes_back = Message.from_dict(json.loads(json.dumps(item))).to_dict() == item
        said = _LAYOUT.read_message({ITEM: json.dumps(item).encode(), ID: b""}, b"")
    except (ValueError, TypeError, KeyError, AttributeError, BadFieldError) as error:
        raise InvalidRecordError(f"the message of the role {message.role!r} cannot be kept: {error}") from error
    if not comes_back:
        raise InvalidRecordError(
            f"the message of the role {message.role!r} would not be the same when Agent Framework reads it again"
        )
    return NewMessage(said.role, said.content, extra=said.extra)


def _check_nothing_left_out(properties: Mapping[str, Any], item: Mapping[str, Any]) -> None:
    """Check that the framework's `to_dict`, which passes over what is no JSON, has all properties."""
    said = item.get("additional_properties") or {}
    for name, value in properties.items():
        if value is not None and name not in said:
            raise InvalidRecordError(
                f"the additional property {name!r} is of the type {type(value).__name__}, which JSON cannot hold"
            )


def _message_of(stored: Stored) -> Message:
    item = json.loads(_LAYOUT.write_message(stored.session_id, stored).fields[ITEM])
    item |= {"type": "message", "role": stored.role}  # the first versions had another type, and an object for the role
    try:
        return Message.from_dict(item)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnsupportedError(
            f"Agent Framework cannot read the message {stored.id!r} of the session {stored.session_id!r}: {error}"
        ) from error

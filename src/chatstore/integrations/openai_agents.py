"""Sessions of the OpenAI Agents SDK that are kept by chatstore.

    session = ChatstoreSession("conversation-1", chat=stores.chat, user_id="user-1")
    await Runner.run(agent, "Where is my order?", session=session)

An item is one message, as chatstore reads it from the SDK's own `RedisSession` (the layout `openai-agents`): both read
what the other wrote, on either side and at every stage. The protocol is the SDK's `Session`:
https://openai.github.io/openai-agents-python/sessions/
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from chatstore.errors import InvalidRecordError, NotFoundError
from chatstore.integrations.named_user import append_or_create, chat_of
from chatstore.models import JsonObject, Message, NewMessage
from chatstore.models.checks import MAX_COUNT
from chatstore.models.values import check_id, check_object
from chatstore.redis.layouts.fields import BadFieldError
from chatstore.redis.layouts.json_items import ID, ITEM
from chatstore.redis.layouts.openai_agents_chat import OpenaiAgentsChat

try:
    from agents import TResponseInputItem
    from agents.memory import SessionSettings
except ImportError as missing:
    raise ImportError(
        "sessions of the OpenAI Agents SDK need its package: pip install 'chatstore[openai-agents]'"
    ) from missing

if TYPE_CHECKING:
    from chatstore.integrations.named_user import AnyChat

__all__ = ["ChatstoreSession"]

_LAYOUT = OpenaiAgentsChat()


class ChatstoreSession:
    """A session of the OpenAI Agents SDK: one of chatstore's, of one user.

    It is created by the first `add_items`. Objects of the same id are the same session, in any process. Every call
    is one atomic step; all errors are `ChatStoreError`s.

    Args:
        session_id: Which session.
        chat: The chat store; or one user's, as `stores.for_user(token)` gives it. Both may be the blocking ones of
            `chatstore.open_blocking`, for `Runner.run_sync`: that makes event loops of its own, and an async store
            belongs to the loop that it was opened in.
        user_id: Whose session it is. Left out where `chat` is one user's.
        session_settings: How many items `get_items` gives when it is not told: all, when left out.

    Raises:
        ConfigurationError: `user_id` is missing, or given beside a token's.
        InvalidRecordError: The session's or the user's id is none (it is empty, or longer than 1,024 bytes).
    """

    def __init__(
        self,
        session_id: str,
        *,
        chat: AnyChat,
        user_id: str | None = None,
        session_settings: SessionSettings | None = None,
    ) -> None:
        self.session_id = check_id(session_id, "session id")
        self.session_settings = session_settings
        self._chat = chat_of(chat, user_id)

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """Return the session's items, the oldest first; none when there is no such session of this user.

        Args:
            limit: Only the last so many; what the session's settings say when left out.
        """
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit
        if limit is not None and limit <= 0:
            return []
        try:
            if limit is None or limit > MAX_COUNT:  # the SDK's compaction asks for 2**31 - 1
                messages = await self._chat.messages(self.session_id)
            else:
                messages = await self._chat.last_messages(self.session_id, limit)
        except NotFoundError:
            return []
        return [_item_of(message) for message in messages]

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Append items, all or none.

        Raises:
            InvalidRecordError: An item is no JSON object, or has neither a role nor a type.
            ConflictError: Another user has a session of that id.
        """
        messages = [_message_of(cast("JsonObject", item)) for item in items]
        if messages:
            await append_or_create(self._chat, self.session_id, messages)

    async def pop_item(self) -> TResponseInputItem | None:
        """Remove the last item and return it; None when there is none. Two calls never get the same one."""
        try:
            message = await self._chat.pop_message(self.session_id)
        except NotFoundError:
            return None
        return None if message is None else _item_of(message)

    async def clear_session(self) -> None:
        """Delete all items. The session stays, with its title and its metadata."""
        try:
            await self._chat.clear_messages(self.session_id)
        except NotFoundError:
            return


def _message_of(item: JsonObject) -> NewMessage:
    check_object(item, "item")
    try:
        said = _LAYOUT.read_message(
            {ITEM: json.dumps(item, separators=(",", ":"), default=dict).encode(), ID: b""}, b""
        )
    except BadFieldError as error:
        raise InvalidRecordError(
            f"this cannot be kept as an item: {error}. (Items that `EncryptedSession` wraps are of that kind.)"
        ) from error
    return NewMessage(said.role, said.content, extra=said.extra)


def _item_of(message: Message) -> TResponseInputItem:
    return cast("TResponseInputItem", json.loads(_LAYOUT.write_message(message.session_id, message).fields[ITEM]))

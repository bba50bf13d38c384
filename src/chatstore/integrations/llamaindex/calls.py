"""What LlamaIndex's chat stores do with a user's chat history: each call once, as a coroutine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias, TypeVar

from chatstore.errors import NotFoundError
from chatstore.integrations.named_user import append_or_create, or_create
from chatstore.interfaces import UserChat
from chatstore.models import JsonObject, Message, NewMessage
from chatstore.models.checks import MAX_BATCH

T = TypeVar("T")
Call: TypeAlias = Callable[[UserChat], Awaitable[T]]

ACTIVE, ARCHIVED = "active", "archived"
_MARK = "llama_index_status"
MARKS: Mapping[str, JsonObject] = {ACTIVE: {}, ARCHIVED: {_MARK: ARCHIVED}}
"""What a message's metadata have, by its status."""


def reading(key: str, status: str | None = None) -> Call[list[Message]]:
    """Read a session's messages, of a status or all; none when there is no such session."""

    async def call(chat: UserChat) -> list[Message]:
        try:
            return _of(await chat.messages(key), status)
        except NotFoundError:
            return []

    return call


def counting(key: str, status: str | None) -> Call[int]:
    """Count a session's messages, of a status or all."""

    async def call(chat: UserChat) -> int:
        if status is not None:
            return len(await reading(key, status)(chat))
        try:
            return await chat.count_messages(key)
        except NotFoundError:
            return 0

    return call


async def listing(chat: UserChat) -> list[str]:
    """List the ids of the user's sessions."""
    names: dict[str, None] = {}  # a session that is written meanwhile may come twice
    after = None
    while True:
        page = await chat.list_sessions(limit=500, after=after)
        names |= dict.fromkeys(session.id for session in page.items)
        if (after := page.next) is None:
            return list(names)


def adding(key: str, messages: list[NewMessage]) -> Call[None]:
    """Append messages, all or none."""

    async def call(chat: UserChat) -> None:
        if messages:
            await append_or_create(chat, key, messages)

    return call


def replacing(key: str, messages: list[NewMessage]) -> Call[None]:
    """Replace all messages of a session in one step."""

    async def call(chat: UserChat) -> None:
        if messages:
            await or_create(chat, key, lambda: chat.replace_messages(key, messages))
        else:
            await _cleared(chat, key)

    return call


def clearing(key: str) -> Call[list[Message] | None]:
    """Delete all messages of a session in one step; return what was there before, None for no session."""

    async def call(chat: UserChat) -> list[Message] | None:
        try:
            found = await chat.messages(key)
        except NotFoundError:
            return None
        await _cleared(chat, key)
        return found

    return call


def popping(key: str) -> Call[Message | None]:
    """Remove the last message."""

    async def call(chat: UserChat) -> Message | None:
        try:
            return await chat.pop_message(key)
        except NotFoundError:
            return None

    return call


def deleting_at(key: str, index: int) -> Call[Message | None]:
    """Delete the message at a place, and return it: None when there is none."""
    wanted = index + 1 if index >= 0 else -index

    async def call(chat: UserChat) -> Message | None:
        while True:
            try:
                if index >= 0:
                    found = await chat.messages(key, limit=wanted)
                else:
                    found = await chat.last_messages(key, wanted)
                if len(found) < wanted:
                    return None
                message = found[index]
                if await chat.delete_messages(key, [message.id]):
                    return message
            except NotFoundError:
                return None
            # Another call deleted it meanwhile: there is another message at that place.

    return call


def deleting_oldest(key: str, count: int | None, status: str) -> Call[list[Message]]:
    """Delete the oldest messages of a status, and return them."""

    async def call(chat: UserChat) -> list[Message]:
        found = _first(await reading(key, status)(chat), count)
        for start in range(0, len(found), MAX_BATCH):
            await chat.delete_messages(key, [message.id for message in found[start : start + MAX_BATCH]])
        return found

    return call


def archiving_oldest(key: str, count: int) -> Call[list[Message]]:
    """Archive the oldest active messages, and return them."""

    async def call(chat: UserChat) -> list[Message]:
        archived = []
        for message in _first(await reading(key, ACTIVE)(chat), count):
            try:
                await chat.edit_message(key, message.id, metadata={**message.metadata, **MARKS[ARCHIVED]})
            except NotFoundError:
                continue  # deleted meanwhile
            archived.append(message)
        return archived

    return call


async def _cleared(chat: UserChat, key: str) -> None:
    try:
        await chat.clear_messages(key)
    except NotFoundError:
        return


def _of(messages: list[Message], status: str | None) -> list[Message]:
    if status is None:
        return messages
    return [message for message in messages if (message.metadata.get(_MARK) == ARCHIVED) == (status == ARCHIVED)]


def _first(messages: list[Message], count: int | None) -> list[Message]:
    return messages if count is None else messages[: max(count, 0)]

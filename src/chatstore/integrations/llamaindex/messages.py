"""LlamaIndex's messages as chatstore's, and back: laid out as the Redis layout `llamaindex` is read."""

from __future__ import annotations

import math
from collections.abc import Iterable

from chatstore.errors import InvalidRecordError, UnsupportedError
from chatstore.models import JsonObject, Message, NewMessage
from chatstore.redis.layouts.fields import BadFieldError
from chatstore.redis.layouts.json_items import ID, ITEM
from chatstore.redis.layouts.llamaindex_chat import LlamaindexChat

MISSING = "LlamaIndex is not installed: pip install 'chatstore[llamaindex]'"

try:
    from llama_index.core.base.llms.types import ChatMessage
except ImportError as error:
    raise ImportError(MISSING) from error

_LAYOUT = LlamaindexChat()


def new_message(message: ChatMessage, metadata: JsonObject) -> NewMessage:
    """Return a message of LlamaIndex's as one to append.

    Raises:
        InvalidRecordError: It is no message, holds what JSON cannot, or would not come back as it is.
    """
    if not isinstance(message, ChatMessage):
        raise InvalidRecordError(f"a {type(message).__name__} was given for a message: give LlamaIndex's `ChatMessage`")
    try:
        item = message.model_dump_json()
        comes_back = ChatMessage.model_validate_json(item).model_dump_json() == item and _finite(message.model_dump())
        said = _LAYOUT.read_message({ITEM: item.encode(), ID: b""}, b"")
    except (
        ValueError,
        TypeError,
        AttributeError,
        BadFieldError,
    ) as error:  # of these, what LlamaIndex's validators let out
        raise InvalidRecordError(f"the message of the role {message.role!s} cannot be kept: {error}") from error
    if not comes_back:
        raise InvalidRecordError(
            f"the message of the role {message.role!s} would not be the same when LlamaIndex reads it again: put what "
            "is no JSON, as pictures in `additional_kwargs`, into blocks; a NaN or an infinity can be in none"
        )
    return NewMessage(said.role, said.content, metadata=metadata, extra=said.extra)


def read(messages: Iterable[Message]) -> list[ChatMessage]:
    """Return messages as LlamaIndex's.

    Raises:
        UnsupportedError: LlamaIndex has no such message.
    """
    return [_read(message) for message in messages]


def _read(message: Message) -> ChatMessage:
    try:
        return ChatMessage.model_validate_json(_LAYOUT.write_message(message.session_id, message).fields[ITEM])
    except (ValueError, AttributeError) as error:
        raise UnsupportedError(
            f"LlamaIndex has no message like {message.id!r} of the session {message.session_id!r}, of the role "
            f"{message.role!r}: {error}"
        ) from error


def _finite(value: object) -> bool:
    """Return whether there is no NaN and no infinity in a value, of which LlamaIndex's JSON makes nulls."""
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)

"""LangChain's messages as chatstore's, and back.

They have one shape on both sides and at every stage: that of the layout `langchain`, by whose codec they are read from
what LangChain itself wrote to Redis, and written so that LangChain reads it there.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from chatstore.errors import InvalidRecordError, UnsupportedError
from chatstore.models import Message, NewMessage
from chatstore.models.values import check_json, new_id
from chatstore.redis.layouts.fields import BadFieldError
from chatstore.redis.layouts.json_items import ID, ITEM
from chatstore.redis.layouts.langchain_chat import LangchainChat

MISSING = "LangChain is not installed: pip install 'chatstore[langchain]'"

try:
    from langchain_core.messages import message_to_dict, messages_from_dict
except ImportError as error:
    raise ImportError(MISSING) from error

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

_LAYOUT = LangchainChat()


def new_message(message: BaseMessage) -> NewMessage:
    """Return a message of LangChain's as one to append, as it would be read had LangChain written it to Redis.

    Its own id is in `extra`: LangChain's ids need not differ from each other.

    Raises:
        InvalidRecordError: It holds what JSON cannot.
    """
    item, message_id = message_to_dict(message), new_id()
    what = f"{message.type} message"
    check_json(item, what)
    try:
        said = _LAYOUT.read_message({ITEM: json.dumps(item).encode(), ID: message_id.encode()}, b"")
    except BadFieldError as error:
        raise InvalidRecordError(f"the {what} cannot be stored: {error}") from error
    return NewMessage(said.role, said.content, id=message_id, extra=said.extra)


def message_of(message: Message) -> BaseMessage:
    """Return a message as LangChain would read it from Redis.

    Fields are handed to LangChain's message classes by the message's type, as LangChain does it; nothing of the data is
    loaded as an object of another class.

    Raises:
        UnsupportedError: LangChain has no message of that type, or none with these fields.
    """
    item = json.loads(_LAYOUT.write_message(message.session_id, message).fields[ITEM])
    try:
        [made] = messages_from_dict([item])
    except (TypeError, ValueError) as error:
        raise UnsupportedError(
            f"LangChain cannot read the message {message.id!r} of the session {message.session_id!r}, whose type is "
            f"{item['type']!r}: read it by chatstore's own `messages`, or delete it by `delete_messages`"
        ) from error
    return made

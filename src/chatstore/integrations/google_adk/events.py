"""ADK's events as chatstore's messages, and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from chatstore.errors import InvalidRecordError, UnsupportedError
from chatstore.models import JsonObject, JsonValue, Message, NewMessage

MISSING = "Google's ADK is not installed: pip install 'chatstore[google-adk]'"

try:
    from google.adk.events.event import Event
    from google.genai.types import Content, Part
except ImportError as error:
    raise ImportError(MISSING) from error

_EVENT = "google_adk_event"
"""The name in a message's `extra` under which its event is."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_message(event: Event) -> NewMessage:
    """Return an event as a message to append: its author is the role, its texts are the content.

    Raises:
        InvalidRecordError: It has no author, holds what JSON cannot, or would not read back.
    """
    try:
        said = _dump(event)
        comes_back = _dump(Event.model_validate(said)) == said
        created = _EPOCH + timedelta(seconds=event.timestamp)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidRecordError(f"the event {event.id!r} cannot be kept: {error}") from error
    if not comes_back:
        raise InvalidRecordError(f"the event {event.id!r} would not be the same when ADK reads it again")
    return NewMessage(event.author, _text(event), id=event.id, created_at=created, extra={_EVENT: said})


def event_of(message: Message) -> Event:
    """Return a message as an event; one that the app itself wrote as that of its role's author.

    Raises:
        UnsupportedError: ADK cannot read it, or its content was edited, and is not one text.
    """
    held = message.extra.get(_EVENT)
    if not isinstance(held, Mapping):
        said = Content(role="user" if message.role == "user" else "model", parts=[Part(text=message.content)])
        created = (message.created_at - _EPOCH).total_seconds()
        return Event(id=message.id, author=message.role, content=said, timestamp=created)
    try:
        event = Event.model_validate(plain_object(held))
    except ValueError as error:
        raise UnsupportedError(f"ADK cannot read the event {message.id!r}: {error}") from error
    if message.content != _text(event):
        texts = _texts(event)
        if len(texts) != 1:
            raise UnsupportedError(f"the content of {message.id!r} was edited, and is not one text of its event")
        texts[0].text = message.content
    return event


def plain_object(value: JsonObject) -> dict[str, JsonValue]:
    """Return a copy that nobody else holds: what ADK hands out, apps change."""
    return {name: _plain(each) for name, each in value.items()}


def _dump(event: Event) -> dict[str, Any]:
    return event.model_dump(mode="json", exclude_none=True)


def _texts(event: Event) -> list[Part]:
    parts = (event.content.parts if event.content else None) or []
    return [part for part in parts if part.text is not None and not part.thought]


def _text(event: Event) -> str:
    return "\n".join(part.text or "" for part in _texts(event))


def _plain(value: JsonValue) -> JsonValue:
    if isinstance(value, Mapping):
        return plain_object(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value

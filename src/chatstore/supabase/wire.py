"""The JSON in which records, commands and marks go to the database's functions and come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from chatstore.models import (
    AppendMessages,
    ChatChange,
    ChatCommand,
    ChatWritten,
    CreateSession,
    DeleteMessages,
    EditMessage,
    Mark,
    Message,
    MessageTombstone,
    NewMessage,
    Session,
    Side,
    UpdateSession,
)


def command_to_row(command: ChatCommand, mark: Mark | None) -> dict[str, object]:
    """Return what `chatstore_write` takes."""
    row: dict[str, object] = {
        "op": command.op,
        "user_id": command.user_id,
        "session_id": command.session_id,
        "at": command.at.isoformat(),
    }
    match command:
        case CreateSession():
            row |= {
                "title": command.title,
                "metadata": command.metadata,
                "expires_at": _to_text(command.expires_at),
                "extra": command.extra,
            }
        case UpdateSession():
            row |= _given(title=command.title, metadata=command.metadata)
        case AppendMessages():
            row |= {"replace": command.replace, "messages": [_new_message_to_row(new) for new in command.messages]}
        case EditMessage():
            row |= {"message_id": command.message_id}
            row |= _given(content=command.content, metadata=command.metadata)
        case DeleteMessages():
            row |= {"message_ids": command.message_ids}
        case _:
            pass
    return row | _given(mark=mark and mark_to_row(mark))


def written_from_row(command: ChatCommand, row: Mapping[str, Any]) -> ChatWritten:
    """Return what a command did, from the answer of `chatstore_write`."""
    session = None if row["session"] is None else session_from_row(row["session"])
    concerned = tuple(message_from_row(message) for message in row["messages"])
    version = row["version"]
    if version is None:
        return ChatWritten(change=None, session=session, messages=concerned)
    # A version is given once, so it tells the messages that this command wrote from those that it found there.
    removed = concerned if command.op in ("pop", "delete_messages") else ()
    change = ChatChange(
        session_id=command.session_id,
        user_id=command.user_id,
        session=session,
        deleted=row["deleted"],
        cleared=row["cleared"],
        messages=() if removed else tuple(message for message in concerned if message.version == version),
        tombstones=tuple(MessageTombstone(message.id, version) for message in removed),
    )
    return ChatWritten(change=change, session=session, messages=concerned)


def session_from_row(row: Mapping[str, Any]) -> Session:
    """Return the session of a row of `public.sessions`."""
    return Session(
        id=row["id"],
        user_id=row["user_id"],
        title=row["title"],
        metadata=row["metadata"],
        created_at=to_time(row["created_at"]),
        updated_at=to_time(row["updated_at"]),
        expires_at=to_time_or_none(row["expires_at"]),
        version=row["version"],
        born=row["born"],
        extra=row["extra"],
    )


def message_from_row(row: Mapping[str, Any]) -> Message:
    """Return the message of a row of `public.messages`."""
    return Message(
        id=row["id"],
        session_id=row["session_id"],
        user_id=row["user_id"],
        position=row["position"],
        role=row["role"],
        content=row["content"],
        metadata=row["metadata"],
        created_at=to_time(row["created_at"]),
        expires_at=to_time_or_none(row["expires_at"]),
        version=row["version"],
        extra=row["extra"],
    )


def mark_to_row(mark: Mark) -> dict[str, object]:
    """Return a row of `chatstore.marks`."""
    return asdict(mark) | {"at": mark.at.isoformat(), "lease_until": _to_text(mark.lease_until)}


def mark_from_row(row: Mapping[str, Any]) -> Mark:
    """Return the mark of a row of `chatstore.marks`."""
    return Mark(
        token=row["token"],
        key=row["key"],
        user_id=row["user_id"],
        side=Side(row["side"]),
        op=row["op"],
        message_ids=None if row["message_ids"] is None else tuple(row["message_ids"]),
        at=to_time(row["at"]),
        lease_until=to_time_or_none(row["lease_until"]),
        while_open=row["while_open"],
    )


def to_time(text: str) -> datetime:
    """Return the time that Postgres wrote, in UTC, with its microseconds; with a `T` or a space in the middle."""
    return datetime.fromisoformat(text).astimezone(UTC)


def to_time_or_none(text: str | None) -> datetime | None:
    """As `to_time`; None for null."""
    return None if text is None else to_time(text)


def _new_message_to_row(message: NewMessage) -> dict[str, object]:
    return {
        "id": message.id,
        "role": message.role,
        "content": message.content,
        "metadata": message.metadata,
        "created_at": message.created_at.isoformat(),
        "expires_at": _to_text(message.expires_at),
        "extra": message.extra,
    }


def _to_text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _given(**fields: object) -> dict[str, object]:
    """Those that are not None: the database's functions leave alone what is not named."""
    return {name: value for name, value in fields.items() if value is not None}

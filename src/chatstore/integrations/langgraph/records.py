"""What a checkpoint of LangGraph's, and a write that waits for one, is as a message.

A message's id names the checkpoint, or the write by its checkpoint, task and place in it. Its content is a JSON object,
in which a value that LangGraph's serializer made stands as `[type, base64]`:

    checkpoint: {"checkpoint": [...], "metadata": [...], "id": "1f0…", "parent": "1f0…" or null, "at": "2026-…"}
    write:      {"value": [...], "checkpoint": "1f0…", "task": "…", "path": "…", "index": 0, "channel": "messages"}

Nothing is unpickled, and no type is rebuilt that is not among those that the serializer was told: a user's records may
be within reach of that user's own token.
"""

from __future__ import annotations

import base64
import contextvars
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from chatstore.errors import ConfigurationError, InvalidRecordError
from chatstore.models import JsonValue, Message, NewMessage
from chatstore.models.values import check_text

try:
    from langgraph.checkpoint.base import WRITES_IDX_MAP, Checkpoint, CheckpointMetadata, writes_sort_key
    from langgraph.checkpoint.serde.base import SerializerProtocol
    from langgraph.checkpoint.serde.event_hooks import SerdeEvent, register_serde_event_listener
except ImportError as missing:
    raise ImportError("checkpoints of LangGraph need its package: pip install 'chatstore[langgraph]'") from missing

CHECKPOINT, WRITE = "checkpoint", "write"
_TYPES = {"null", "bytes", "bytearray", "msgpack"}
"""What is written. LangGraph's `json` would be rebuilt by LangChain's loader, and its `pickle` is code."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint as it was stored.

    Attributes:
        id: The checkpoint's id.
        parent: The id of the one that it was made from; None for a thread's first.
        at: When it was made (UTC).
        checkpoint: It, serialized.
        metadata: Its metadata, serialized.
    """

    id: str
    parent: str | None
    at: datetime
    checkpoint: JsonValue
    metadata: JsonValue


@dataclass(frozen=True, slots=True)
class Write:
    """A write that a task made on top of a checkpoint.

    Attributes:
        checkpoint: The checkpoint's id.
        order: What the writes of a checkpoint are sorted by.
        task: The task's id.
        channel: The channel's name.
        value: What was written, serialized.
    """

    checkpoint: str
    order: tuple[str, str, int]
    task: str
    channel: str
    value: JsonValue


def checkpoint_message(
    serde: SerializerProtocol, checkpoint: Checkpoint, metadata: CheckpointMetadata, parent: str | None
) -> NewMessage:
    """Return a checkpoint as a message.

    Raises:
        InvalidRecordError: The serializer cannot hold a value of it.
    """
    content = {
        "checkpoint": dump(serde, checkpoint),
        "metadata": dump(serde, metadata),
        "id": check_text(checkpoint["id"], "checkpoint's id"),
        "parent": parent,
        "at": checkpoint["ts"],
    }
    return NewMessage(CHECKPOINT, orjson.dumps(content).decode(), id=_name(checkpoint["id"]))


def write_messages(
    serde: SerializerProtocol, checkpoint_id: str, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
) -> list[NewMessage]:
    """Return a task's writes as messages.

    Raises:
        InvalidRecordError: The serializer cannot hold a value of them.
    """
    messages: dict[str, NewMessage] = {}
    for place, (channel, value) in enumerate(writes):
        index = WRITES_IDX_MAP.get(channel, place)
        content = {
            "value": dump(serde, value),
            "checkpoint": checkpoint_id,
            "task": check_text(task_id, "task's id"),
            "path": check_text(task_path, "task's path"),
            "index": index,
            "channel": check_text(channel, "channel"),
        }
        name = _name(checkpoint_id, task_id, str(index))
        messages[name] = NewMessage(WRITE, orjson.dumps(content).decode(), id=name)
    return list(messages.values())


def overwrites(message: NewMessage) -> bool:
    """Return whether a write takes the place of one of the same task: an error or an interrupt does."""
    return message.id.rpartition("/")[2].startswith("-")


def record_of(message: Message) -> Saved | Write:
    """Return what a message of a thread is.

    Raises:
        InvalidRecordError: It is none of ours.
    """
    try:
        held = orjson.loads(message.content)
        if message.role == CHECKPOINT:
            at = _time(held["at"], message.created_at)
            return Saved(held["id"], held["parent"], at, held["checkpoint"], held["metadata"])
        if message.role == WRITE:
            order = writes_sort_key(held["path"], held["task"], held["index"])
            return Write(held["checkpoint"], order, held["task"], held["channel"], held["value"])
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(message) from error
    raise _unreadable(message)


def dump(serde: SerializerProtocol, value: Any) -> list[str]:
    """Return a value as its serializer holds it, in JSON.

    Raises:
        InvalidRecordError: The serializer cannot hold it.
    """
    try:
        kind, data = serde.dumps_typed(value)
    except (TypeError, ValueError) as error:
        raise InvalidRecordError(f"the graph's state has a value that cannot be stored: {error}") from error
    _check_kind(kind)
    return [kind, base64.b64encode(data).decode()]


def load(serde: SerializerProtocol, held: JsonValue) -> Any:
    """Return the value of what `dump` returned.

    Raises:
        ConfigurationError: It holds an object of a type that may not be rebuilt.
        InvalidRecordError: It is not what `dump` returns.
    """
    if not isinstance(held, list) or len(held) != len(("type", "data")):
        raise InvalidRecordError("a checkpoint holds a value that is not of the form that chatstore gives it")
    kind, data = held
    _check_kind(kind)
    blocked: list[str] = []
    before = _blocked.set(blocked)
    try:
        value = serde.loads_typed((kind, base64.b64decode(data, validate=True)))
    except ValueError as error:
        raise InvalidRecordError("a checkpoint holds a value that its serializer cannot read") from error
    finally:
        _blocked.reset(before)
    if blocked:
        raise ConfigurationError(
            f"the graph's state has objects of types that are not rebuilt unasked: {', '.join(blocked)}. "
            "Give them to the saver, as in `allowed=[MyState]`"
        )
    return value


def _check_kind(kind: object) -> None:
    # An `EncryptedSerializer` says `msgpack+aes`.
    if not isinstance(kind, str) or kind.partition("+")[0] not in _TYPES:
        raise InvalidRecordError(
            f"a value is serialized as {kind!r}, which chatstore neither stores nor reads: msgpack and bytes are"
        )


def _name(*parts: str) -> str:
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)


def _time(text: str, otherwise: datetime) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return otherwise
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _unreadable(message: Message) -> InvalidRecordError:
    return InvalidRecordError(
        f"the message {message.id!r} of the session {message.session_id!r} is no checkpoint and no write of LangGraph's"
    )


_blocked: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("chatstore_blocked", default=None)


def _note(event: SerdeEvent) -> None:
    # LangGraph would go on with a dictionary in the object's place.
    blocked = _blocked.get()
    if blocked is not None and event["kind"] in ("msgpack_blocked", "msgpack_method_blocked"):
        blocked.append(f"{event['module']}.{event['name']}")


register_serde_event_listener(_note)

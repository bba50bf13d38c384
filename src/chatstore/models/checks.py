"""What a caller's command must fulfil before any side sees it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from chatstore.errors import InvalidRecordError
from chatstore.models.chat import (
    AppendMessages,
    ChatCommand,
    CreateSession,
    DeleteMessages,
    EditMessage,
    MessageOrder,
    NewMessage,
    UpdateSession,
)
from chatstore.models.documents import DocumentCommand, NewDocument, UpsertDocuments
from chatstore.models.embedding import Embedding
from chatstore.models.values import check_id, check_object, check_text, check_time

T = TypeVar("T")

MAX_MATCHES = 10_000
MAX_BATCH = 100_000
"""How many messages one command may name, which is one script to Redis that serves nobody else meanwhile; and how many
documents one read may, all of which are in memory then."""
MAX_COUNT = 1_000_000_000
_MAX_POSITION = 2**63


def check_chat_command(command: ChatCommand) -> None:
    """Check that every side could hold what a command brings.

    Raises:
        InvalidRecordError: It names what is wrong.
    """
    check_id(command.user_id, "user id")
    check_id(command.session_id, "session id")
    match command:
        case CreateSession(title=title, metadata=metadata) | UpdateSession(title=title, metadata=metadata):
            if title is not None or isinstance(command, CreateSession):
                check_text(title, "title")  # type: ignore[arg-type] # a title that is to be created is no None
            if metadata is not None or isinstance(command, CreateSession):
                check_object(metadata, "session's metadata")  # type: ignore[arg-type] # nor are its metadata
            if isinstance(command, CreateSession):
                check_expiry(command.expires_at, "session")
        case AppendMessages(messages=messages):
            _check_messages(messages)
        case EditMessage(message_id=message_id, content=content, metadata=metadata):
            check_id(message_id, "message id")
            if content is not None:
                check_text(content, "message's content")
            if metadata is not None:
                check_object(metadata, "message's metadata")
        case DeleteMessages(message_ids=message_ids):
            _check_batch(message_ids)
            for message_id in message_ids:
                check_id(message_id, "message id")
        case _:
            pass


def check_document_command(command: DocumentCommand) -> None:
    """Check that every side could hold what a command brings.

    Raises:
        InvalidRecordError: It names what is wrong.
    """
    check_id(command.user_id, "user id")
    if isinstance(command, UpsertDocuments):
        for document in command.documents:
            _check_document(document)
        if len({document.id for document in command.documents}) < len(command.documents):
            raise InvalidRecordError("two of the documents have the same id")
    else:
        for document_id in command.ids:
            check_id(document_id, "document id")


def check_query(k: int) -> None:
    """Check how many matches a search asks for.

    Raises:
        InvalidRecordError: Fewer than one, or more than 10,000.
    """
    _check_number(k, "k")
    if not 1 <= k <= MAX_MATCHES:
        raise InvalidRecordError(f"a search returns from 1 to {MAX_MATCHES} matches; k is {_short(k)}")


def check_embedding(embedding: Embedding, what: str) -> None:
    """Check an embedding, which may have been made of bytes directly.

    Raises:
        InvalidRecordError: It is none, or its bytes are not those of one or more finite float32.
    """
    if not isinstance(embedding, Embedding) or not isinstance(embedding.data, bytes):
        raise InvalidRecordError(f"the {what} is no Embedding: make one with Embedding.of(numbers)")
    if not embedding.data or len(embedding.data) % 4:
        raise InvalidRecordError(f"the {what} is not one or more float32, of 4 bytes each")
    if not all(map(math.isfinite, embedding)):
        raise InvalidRecordError(f"the {what} has a NaN or an infinity: an embedding holds finite float32 only")


def check_names(user_id: str, **ids: str) -> None:
    """Check what a read names: its user, and its records by what they are.

    Raises:
        InvalidRecordError: One of them is none that a record can have.
    """
    check_id(user_id, "user id")
    for what, name in ids.items():
        check_id(name, what.replace("_", " "))


def check_document_ids(ids: Sequence[str]) -> Sequence[str]:
    """Check the ids of the documents that a read asks for, and return them.

    Raises:
        InvalidRecordError: One of them is none that a document can have, or there are more than 100,000.
    """
    if len(ids) > MAX_BATCH:
        raise InvalidRecordError(f"{len(ids)} documents are too many for one call: give at most {MAX_BATCH} ids")
    for document_id in ids:
        check_id(document_id, "document id")
    return ids


def check_count(count: int, what: str, least: int = 0) -> None:
    """Check how many records a read asks for.

    Raises:
        InvalidRecordError: It is no whole number, or not between `least` and a billion.
    """
    _check_number(count, what)
    if not least <= count <= MAX_COUNT:
        raise InvalidRecordError(f"{what} is from {least} to {MAX_COUNT}; it is {_short(count)}")


def check_order(place: MessageOrder | None, what: str) -> None:
    """Check between which messages a read begins or ends.

    Raises:
        InvalidRecordError: It is no `Message.order`.
    """
    if place is None:
        return
    if not isinstance(place, tuple | list) or len(place) != len(("position", "id")):
        raise InvalidRecordError(f"`{what}` is the order of a message: give its `order`")
    position, message_id = place
    _check_number(position, f"the position in `{what}`")
    if not -_MAX_POSITION <= position < _MAX_POSITION:
        raise InvalidRecordError(f"the position in `{what}` is one that no message has: give a message's `order`")
    check_text(message_id, f"message id in `{what}`")


def check_expiry(expires_at: datetime | None, what: str) -> None:
    """Check when a record is to cease to exist; one of the past is allowed.

    Raises:
        InvalidRecordError: It is no time that every side can hold.
    """
    if expires_at is not None:
        check_time(expires_at, f"{what}'s expires_at")


def batch_of(items: T | Iterable[T], one: type[T], what: str) -> tuple[T, ...]:
    """Return one item, or several, as a batch.

    Args:
        items: What a caller gave.
        one: The type of an item.
        what: What an item is called.

    Raises:
        InvalidRecordError: It is neither. A text is no list of the ids that its letters are.
    """
    if isinstance(items, one) and not isinstance(items, str):
        return (items,)
    if not isinstance(items, Iterable) or isinstance(items, str | bytes | Mapping):
        raise InvalidRecordError(f"the {what} are of the type {type(items).__name__}: give a list")
    batch = tuple(items)
    for item in batch:
        if not isinstance(item, one):
            raise InvalidRecordError(f"one of the {what} is of the type {type(item).__name__}: give {one.__name__}")
    return batch


def _check_batch(batch: tuple[object, ...]) -> None:
    if len(batch) > MAX_BATCH:
        raise InvalidRecordError(f"{len(batch)} messages are too many for one step: give at most {MAX_BATCH} at a time")


def _check_messages(messages: tuple[NewMessage, ...]) -> None:
    _check_batch(messages)
    ids = [check_id(message.id, "message id") for message in messages]
    if len(set(ids)) < len(ids):
        raise InvalidRecordError("two of the messages have the same id")
    for message in messages:
        check_time(message.created_at, "message's created_at")
        check_expiry(message.expires_at, "message")
        check_id(message.role, "message's role")
        check_text(message.content, "message's content")
        check_object(message.metadata, "message's metadata")
        check_object(message.extra, "message's extra fields")


def _check_document(document: NewDocument) -> None:
    check_id(document.id, "document id")
    check_time(document.created_at, "document's created_at")
    if document.embedding is not None:
        check_embedding(document.embedding, "document's embedding")
    for value, what in ((document.text, "text"), (document.title, "title"), (document.url, "url")):
        check_text(value, f"document's {what}")
    check_object(document.metadata, "document's metadata")
    check_object(document.extra, "document's extra fields")


def _check_number(number: int, what: str) -> None:
    if not isinstance(number, int) or isinstance(number, bool):
        raise InvalidRecordError(f"{what} is of the type {type(number).__name__}: give a whole number")


def _short(number: int) -> str:
    return str(number) if abs(number) < _MAX_POSITION else "far beyond"

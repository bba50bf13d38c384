"""What a caller's command must fulfil before any side sees it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from chatstore.errors import InvalidRecordError
from chatstore.models.chat import (
    AppendMessages,
    ChatCommand,
    CreateSession,
    DeleteMessages,
    EditMessage,
    NewMessage,
    UpdateSession,
)
from chatstore.models.documents import DocumentCommand, NewDocument, UpsertDocuments
from chatstore.models.values import check_id, check_json, check_text

MAX_MATCHES = 10_000


def check_chat_command(command: ChatCommand) -> None:
    """Check that every side could hold what a command brings.

    Raises:
        InvalidRecordError: It names what is wrong.
    """
    check_id(command.user_id, "user id")
    check_id(command.session_id, "session id")
    match command:
        case CreateSession(title=title, metadata=metadata) | UpdateSession(title=title, metadata=metadata):
            check_text(title or "", "title")
            check_json(metadata, "session's metadata")
            if isinstance(command, CreateSession):
                check_expiry(command.expires_at, "session")
        case AppendMessages(messages=messages):
            _check_messages(messages)
        case EditMessage(message_id=message_id, content=content, metadata=metadata):
            check_id(message_id, "message id")
            check_text(content or "", "message's content")
            check_json(metadata, "message's metadata")
        case DeleteMessages(message_ids=message_ids):
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
        if len({document.id for document in command.documents}) < len(command.documents):
            raise InvalidRecordError("two of the documents have the same id")
        for document in command.documents:
            _check_document(document)
    else:
        for document_id in command.ids:
            check_id(document_id, "document id")


def check_query(k: int) -> None:
    """Check how many matches a search asks for.

    Raises:
        InvalidRecordError: Fewer than one, or more than 10,000.
    """
    if not 1 <= k <= MAX_MATCHES:
        raise InvalidRecordError(f"a search returns from 1 to {MAX_MATCHES} matches; k is {k}")


def check_expiry(expires_at: datetime | None, what: str) -> None:
    """Check when a record is to cease to exist; one of the past is allowed.

    Raises:
        InvalidRecordError: The time has no timezone.
    """
    if expires_at is not None and expires_at.tzinfo is None:
        raise InvalidRecordError(f"a {what}'s expires_at has no timezone: times are in UTC")


def _check_messages(messages: Sequence[NewMessage]) -> None:
    ids = [check_id(message.id, "message id") for message in messages]
    if len(set(ids)) < len(ids):
        raise InvalidRecordError("two of the messages have the same id")
    for message in messages:
        if message.created_at.tzinfo is None:
            raise InvalidRecordError("a message's created_at has no timezone: times are in UTC")
        check_expiry(message.expires_at, "message")
        check_id(message.role, "message's role")
        check_text(message.content, "message's content")
        check_json(message.metadata, "message's metadata")
        check_json(message.extra, "message's extra fields")


def _check_document(document: NewDocument) -> None:
    check_id(document.id, "document id")
    if document.created_at.tzinfo is None:
        raise InvalidRecordError("a document's created_at has no timezone: times are in UTC")
    for value, what in ((document.text, "text"), (document.title, "title"), (document.url, "url")):
        check_text(value, f"document's {what}")
    check_json(document.metadata, "document's metadata")
    check_json(document.extra, "document's extra fields")

"""What the session scripts reply, as records; and what a reply that cannot be one becomes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chatstore.errors import ConflictError, LayoutError, NotFoundError
from chatstore.models import (
    AppendMessages,
    ChatChange,
    ChatCommand,
    EditMessage,
    Message,
    MessageTombstone,
    NewMessage,
    PopMessage,
    Session,
    from_micros,
)
from chatstore.models.ownership import Users
from chatstore.redis.failures import fields_of, printable, problem_of, raw_of
from chatstore.redis.layouts.fields import BadFieldError
from chatstore.redis.layouts.layout import ChatLayout
from chatstore.redis.scripts import Reply
from chatstore.redis.user_ids import new_user

_CONFLICTS = {
    b"mapped": "the mapping of owners (CHATSTORE_OWNERS) gives the session id {session!r} to another user",
    b"taken": "the session id {session!r} is taken: choose another one",
    b"deleted": "the message {id!r} was deleted from this session: append it under a new id",
    b"other content": "the message id {id!r} is taken by a message with other content",
    b"used before": "the message id {id!r} was used in this session before",
}


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the ledger knows of a session."""

    user_id: str
    deleted: int
    cleared: int


def check_outcome(reply: Reply, session_id: str) -> bytes:
    """Return the outcome of a reply that is none of the failures.

    Raises:
        NotFoundError, ConflictError, LayoutError: As the script says.
    """
    outcome: bytes = reply[0]
    if outcome == b"missing":
        raise NotFoundError(f"there is no session {session_id!r} of this user, or no such message in it")
    if outcome == b"conflict":
        raise ConflictError(_CONFLICTS[reply[1]].format(session=session_id, id=printable(reply[2])))
    if outcome == b"problem":
        raise problem_of(reply)
    return outcome


class SessionReader:
    """Makes records of the replies about one session.

    Args:
        layout: Whose fields they hold.
        session_id: Which session.
        users: What the user ids in Redis have become.
    """

    def __init__(self, layout: ChatLayout, session_id: str, users: Users) -> None:
        self._layout = layout
        self._id = session_id
        self._users = users

    def ledger(self, part: Reply) -> Ledger:
        """Return what the ledger knows, of a session that may be deleted.

        Raises:
            LayoutError: The mapping of users does not know its user.
        """
        user, _, _, deleted, cleared = part[:5]
        try:
            return Ledger(new_user(self._users, user), int(deleted), int(cleared))
        except BadFieldError as error:
            raise LayoutError(self._layout.prefix + self._id.encode(), b"", str(error)) from None

    def session(self, part: Reply) -> Session | None:
        """Return the session; None when there is none.

        Raises:
            LayoutError: One of its fields is not what the layout promises.
        """
        if not part or part[-1] is None:
            return None
        user, version, born, _, _, created, updated, expires, rest, flat = part
        try:
            values = self._layout.read_session(fields_of(flat), rest)
            return Session(
                id=self._id,
                user_id=new_user(self._users, user),
                title=values.title,
                metadata=values.metadata,
                created_at=from_micros(int(created)),
                updated_at=from_micros(int(updated)),
                expires_at=from_micros(int(expires)) if expires else None,
                version=int(version),
                born=int(born),
                extra=values.extra,
            )
        except (BadFieldError, UnicodeDecodeError, OverflowError) as error:
            key = self._layout.prefix + self._id.encode()
            raise LayoutError(key, raw_of(flat), str(error)) from None

    def message(self, part: Reply, user_id: str) -> Message:
        """Return a message.

        Raises:
            LayoutError: One of its fields is not what the layout promises.
        """
        raw_id, position, version, created, expires, rest, flat = part
        try:
            values = self._layout.read_message(fields_of(flat), rest)
            return Message(
                id=raw_id.decode(),
                session_id=self._id,
                user_id=user_id,
                position=int(position),
                role=values.role,
                content=values.content,
                metadata=values.metadata,
                created_at=from_micros(int(created)),
                expires_at=from_micros(int(expires)) if expires else None,
                version=int(version),
                extra=values.extra,
            )
        except (BadFieldError, UnicodeDecodeError, OverflowError) as error:
            key = self._layout.message_key(self._id.encode(), raw_id)
            raise LayoutError(key, self._layout.raw_message(flat), str(error)) from None

    def messages(self, parts: Iterable[Reply], user_id: str) -> tuple[list[Message], list[LayoutError]]:
        """Return the messages that can be read, and what is wrong with the others."""
        found: list[Message] = []
        bad: list[LayoutError] = []
        for part in parts:
            try:
                found.append(self.message(part, user_id))
            except LayoutError as error:
                bad.append(error)
        return found, bad

    def change(
        self,
        part: Reply,
        session: Session | None,
        messages: Iterable[Message],
        tombstones: Iterable[Reply],
        fingerprint: str | None = None,
    ) -> ChatChange:
        """Return a part of the session's state."""
        ledger = self.ledger(part)
        return ChatChange(
            session_id=self._id,
            user_id=ledger.user_id,
            session=session,
            deleted=ledger.deleted,
            cleared=ledger.cleared,
            messages=tuple(messages),
            tombstones=tuple(MessageTombstone(name.decode(), int(version)) for name, version in tombstones),
            fingerprint=fingerprint,
        )


def messages_of(reader: SessionReader, parts: Reply, command: ChatCommand) -> tuple[list[Message], list[Message]]:
    """Return the messages that a command concerns, and which of them the other side needs.

    Raises:
        LayoutError: The message that was popped cannot be read; its bytes are in the error.
    """
    match command:
        case AppendMessages(messages=messages):
            given = {message.id: message for message in messages}
            concerned = [
                _appended(part, given, command) if part[6] is None else reader.message(part, command.user_id)
                for part in parts
            ]
            written = {part[0].decode() for part in parts if part[6] is None}
            return concerned, [message for message in concerned if message.id in written]
        case EditMessage():
            edited = [reader.message(part, command.user_id) for part in parts]
            return edited, edited
        case PopMessage():
            return [reader.message(part, command.user_id) for part in parts], []
        case _:
            return reader.messages(parts, command.user_id)[0], []


def _appended(part: Reply, given: dict[str, NewMessage], command: AppendMessages) -> Message:
    raw_id, position, version, *_ = part
    message = given[raw_id.decode()]
    return Message(
        id=message.id,
        session_id=command.session_id,
        user_id=command.user_id,
        position=int(position),
        role=message.role,
        content=message.content,
        metadata=message.metadata,
        created_at=message.created_at,
        expires_at=message.expires_at,
        version=int(version),
        extra=message.extra,
    )

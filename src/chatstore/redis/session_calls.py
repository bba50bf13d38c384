"""The calls of the session scripts: a command, a change or a reading as keys and arguments."""

from __future__ import annotations

from chatstore.models import (
    AppendMessages,
    ChatChange,
    ChatCommand,
    CreateSession,
    DeleteMessages,
    EditMessage,
    Kind,
    Mark,
    Message,
    MessageOrder,
    NewMessage,
    Session,
    UpdateSession,
    to_micros,
)
from chatstore.redis.client import Argument
from chatstore.redis.journal import mark_arguments
from chatstore.redis.keys import JournalKeys, LedgerKeys
from chatstore.redis.layouts.layout import ChatLayout, Encoded
from chatstore.redis.scripts import Call, Script, flat_fields, script


class SessionCalls:
    """Makes calls on the sessions of one layout.

    Args:
        layout: Whose.
    """

    def __init__(self, layout: ChatLayout) -> None:
        self.layout = layout
        self.ledger = LedgerKeys(Kind.CHAT, layout.name, lambda record_id: layout.prefix + record_id)
        self._journal = JournalKeys(Kind.CHAT)

    def write(self, command: ChatCommand, mark: Mark | None) -> Call:
        """Return the call that executes a command."""
        op = "replace" if isinstance(command, AppendMessages) and command.replace else command.op
        arguments: list[Argument] = [command.session_id, command.user_id, op, to_micros(command.at)]
        arguments += mark_arguments(mark) + self._details(command)
        keys = self._keys(command.session_id.encode(), command.user_id, mark)
        return Call(self._script("marks", "session", "session_write"), keys, arguments)

    def join(self, change: ChatChange) -> Call:
        """Return the call that joins a change."""
        arguments: list[Argument] = [change.session_id, change.user_id, *self._session(change.session)]
        arguments += [change.deleted, change.cleared, len(change.messages)]
        for message in change.messages:
            arguments += self._message(change.session_id, message)
        for message in change.messages:
            arguments += [message.position, message.version]
        arguments.append(len(change.tombstones))
        for tombstone in change.tombstones:
            arguments += [tombstone.id, tombstone.version]
        keys = self._keys(change.session_id.encode(), change.user_id)
        return Call(self._script("session", "session_join"), keys, arguments)

    def adopt(self, session_id: bytes) -> Call:
        """Return the call that writes down the order of a list that another program wrote."""
        return Call(self._script("session", "session_adopt"), self._keys(session_id), [session_id])

    def read_header(self, session_id: bytes, user_id: str | None) -> Call:
        """Return the call that reads a session alone; of any user when None."""
        return self._read(session_id, user_id, "header")

    def read_forward(self, session_id: bytes, user_id: str | None, after: MessageOrder | None, limit: int) -> Call:
        """Return the call that reads messages behind a place, or from the first one on."""
        return self._read(session_id, user_id, "forward", *_place(after), limit)

    def read_backward(self, session_id: bytes, user_id: str, before: MessageOrder | None, limit: int) -> Call:
        """Return the call that reads the last messages before a place, or of all."""
        return self._read(session_id, user_id, "backward", *_place(before), limit)

    def read_some(self, session_id: bytes, message_ids: tuple[str, ...]) -> Call:
        """Return the call that reads some messages and their tombstones."""
        return self._read(session_id, None, "some", len(message_ids), *message_ids)

    def count(self, session_id: bytes, user_id: str | None) -> Call:
        """Return the call that counts a session's messages."""
        return self._read(session_id, user_id, "count")

    def _read(self, session_id: bytes, user_id: str | None, mode: str, *arguments: Argument) -> Call:
        scope: list[Argument] = [0] if user_id is None else [1, user_id]
        every = [session_id, *scope, mode, *arguments]
        return Call(self._script("session", "session_read"), self._keys(session_id), every)

    def _script(self, *parts: str) -> Script:
        return script("values", *parts, layout=self.layout.lua)

    def _keys(self, session_id: bytes, user_id: str = "", mark: Mark | None = None) -> list[bytes]:
        parts = [self.ledger.of(part, session_id) for part in ("state", "order", "entries", "tombstones")]
        keys = [self.layout.prefix + session_id, *parts, self.ledger.index(user_id.encode())]
        if mark is not None:
            journal = self._journal
            keys += [journal.marks, journal.bodies, journal.of_user(mark.user_id), journal.migration]
        return keys

    def _details(self, command: ChatCommand) -> list[Argument]:
        match command:
            case CreateSession():
                session = Session(
                    id=command.session_id,
                    user_id=command.user_id,
                    title=command.title,
                    metadata=command.metadata,
                    created_at=command.at,
                    updated_at=command.at,
                    extra=command.extra,
                )
                expires = to_micros(command.expires_at) if command.expires_at else ""
                return [expires, *_encoded(self.layout.write_session(session))]
            case UpdateSession(title=title, metadata=metadata):
                return flat_fields(self.layout.change_session(title, metadata))
            case AppendMessages(messages=messages):
                details: list[Argument] = [len(messages)]
                for message in messages:
                    details += self._message(command.session_id, message)
                return details
            case EditMessage(message_id=message_id, content=content, metadata=metadata):
                return [message_id, *flat_fields(self.layout.change_message(content, metadata))]
            case DeleteMessages(message_ids=message_ids):
                return [len(message_ids), *message_ids]
            case _:
                return []

    def _session(self, session: Session | None) -> list[Argument]:
        if session is None:
            return [0]
        times: list[Argument] = [to_micros(session.created_at), to_micros(session.updated_at)]
        expires = to_micros(session.expires_at) if session.expires_at else ""
        return [1, session.version, session.born, *times, expires, *_encoded(self.layout.write_session(session))]

    def _message(self, session_id: str, message: Message | NewMessage) -> list[Argument]:
        encoded = self.layout.write_message(session_id, message)
        return [message.id, to_micros(message.created_at), *_encoded(encoded)]


def _encoded(encoded: Encoded) -> list[Argument]:
    return [encoded.rest, *flat_fields(encoded.fields)]


def _place(order: MessageOrder | None) -> tuple[Argument, Argument]:
    return ("", "") if order is None else (order[1], order[0])

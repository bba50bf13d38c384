"""The calls of the session scripts: a command, a change or a reading as keys and arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chatstore.errors import ConflictError
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
from chatstore.models.ownership import SameUsers, Users
from chatstore.redis.client import Argument
from chatstore.redis.journal import mark_arguments
from chatstore.redis.keys import OUR_OWN, JournalKeys, LedgerKeys, space_of
from chatstore.redis.layouts.layout import ChatLayout, Encoded
from chatstore.redis.scripts import Call, Script, flat_fields, script
from chatstore.redis.user_ids import old_owner, old_user

_PARTS = ("state", "order", "entries", "tombstones", "companion")
"""The keys of a session's ledger, in the order of `session.lua`."""


class SessionCalls:
    """Makes calls on the sessions of one layout.

    Args:
        layout: Whose.
        users: What the user ids in Redis have become.
        cluster: Whether the index and the journal lie elsewhere, so that no script has their keys.
    """

    def __init__(self, layout: ChatLayout, users: Users | None = None, *, cluster: bool = False) -> None:
        self.layout = layout
        self._cluster = cluster
        self.users = users or SameUsers()
        space = space_of(layout.name, layout.prefix, layout.default_prefix)
        self.ledger = LedgerKeys(Kind.CHAT, space, lambda record_id: layout.prefix + record_id)
        self._journal = JournalKeys(Kind.CHAT)

    def write(self, command: ChatCommand, mark: Mark | None) -> Call:
        """Return the call that executes a command."""
        return self._write(command, mark, self._details(command))

    def edit_whole(self, command: EditMessage, mark: Mark | None, message: Message) -> Call:
        """Return the call that edits a message as a whole, if it still is what it was."""
        encoded = self.layout.edit_message(message, command.content, command.metadata)
        return self._write(command, mark, [command.message_id, message.version, *_encoded(encoded)])

    def join(self, change: ChatChange) -> Call:
        """Return the call that joins a change.

        Raises:
            ConflictError: Nothing says who its user is in Redis, or it would lie among our own keys.
        """
        user_id = old_owner(self.users, change.user_id)
        session = change.session and replace(change.session, user_id=user_id)
        session_id = change.session_id.encode()
        if session:
            self._check_place(session_id)
        arguments = [*self._names(session_id), user_id, *self._session(session)]
        arguments += [change.deleted, change.cleared, len(change.messages)]
        for message in change.messages:
            arguments += self._message(change.session_id, message)
        for message in change.messages:
            arguments += [message.position, message.version]
        arguments.append(len(change.tombstones))
        for tombstone in change.tombstones:
            arguments += [tombstone.id, tombstone.version]
        return Call(self._script("session", "session_join"), self._keys(session_id, user_id), arguments)

    def adopt(self, session_id: bytes, *, edited: bool = False) -> Call:
        """Return the call that writes down the order of a list that another program wrote, or where it `edited` one."""
        arguments = [*self._names(session_id), int(edited)]
        return Call(self._script("session", "session_adopt"), self._keys(session_id), arguments)

    def found(self, session_id: bytes, message_ids: Sequence[bytes], *, whole: bool = False) -> Call:
        """Return the call that writes down messages whose keys were met, and that the search index does not know.

        Args:
            session_id: Whose they are.
            message_ids: The messages.
            whole: Do what `adopt` does, too.
        """
        arguments = [*self._names(session_id), int(whole), len(message_ids), *message_ids]
        return Call(self._script("session", "session_found"), self._keys(session_id), arguments)

    def read_header(self, session_id: bytes, user_id: str | None) -> Call:
        """Return the call that reads a session alone; of any user when None."""
        return self._read(session_id, user_id, "header")

    def read_forward(
        self, session_id: bytes, user_id: str | None, after: MessageOrder | None, limit: int, *, room: int = 0
    ) -> Call:
        """Return the call that reads messages behind a place, or from the first on; `room` bytes of them, 0 for any."""
        return self._read(session_id, user_id, "forward", *_place(after), limit, room)

    def read_whole(self, session_id: bytes, limit: int, *, room: int) -> Call:
        """Return the call that reads a session from its first message on, with its fingerprint if that is all of it."""
        return self._read(session_id, None, "whole", *_place(None), limit, room)

    def fingerprint(self, session_id: bytes) -> Call:
        """Return the call that makes a session's fingerprint."""
        made = script("values", "session_keys", "fingerprint", "session_fingerprint", layout=self.layout.lua)
        return Call(made, self._keys(session_id), self._names(session_id))

    def bare(self, session_id: bytes, *, whole: bool) -> Call:
        """Return the call that reads a session by `ChatLayout.bare`, whole or only its fingerprint."""
        return Call(script(self.layout.bare), self._keys(session_id)[: len(_PARTS)], [int(whole)])

    def read_backward(self, session_id: bytes, user_id: str, before: MessageOrder | None, limit: int) -> Call:
        """Return the call that reads the last messages before a place, or of all."""
        return self._read(session_id, user_id, "backward", *_place(before), limit)

    def read_some(self, session_id: bytes, message_ids: tuple[str, ...], user_id: str | None = None) -> Call:
        """Return the call that reads some messages and their tombstones."""
        return self._read(session_id, user_id, "some", len(message_ids), *message_ids)

    def count(self, session_id: bytes, user_id: str | None) -> Call:
        """Return the call that counts a session's messages."""
        return self._read(session_id, user_id, "count")

    def _write(self, command: ChatCommand, mark: Mark | None, details: Sequence[Argument]) -> Call:
        op = "replace" if isinstance(command, AppendMessages) and command.replace else command.op
        session_id, user_id = command.session_id.encode(), old_user(self.users, command.user_id)
        arguments = [*self._names(session_id), user_id, op, to_micros(command.at), *mark_arguments(mark), *details]
        return Call(self._script("marks", "session", "session_write"), self._keys(session_id, user_id, mark), arguments)

    def _read(self, session_id: bytes, user_id: str | None, mode: str, *arguments: Argument) -> Call:
        scope: list[Argument] = [0] if user_id is None else [1, old_user(self.users, user_id)]
        every = [*self._names(session_id), *scope, mode, *arguments]
        return Call(self._script("fingerprint", "session", "session_read"), self._keys(session_id), every)

    def _script(self, *parts: str) -> Script:
        return script("values", "session_keys", *parts, layout=self.layout.lua)

    def _keys(self, session_id: bytes, user_id: str = "", mark: Mark | None = None) -> list[bytes]:
        parts = [self.ledger.of(part, session_id) for part in _PARTS]
        keys = [self.layout.prefix + session_id, *parts]
        if self._cluster:
            return keys
        keys.append(self.ledger.index(user_id.encode()))
        if mark is not None:
            journal = self._journal
            keys += [journal.marks, journal.bodies, journal.of_user(mark.user_id), journal.migration]
        return keys

    def _names(self, session_id: bytes) -> list[Argument]:
        """Return what every script is told first: the session's id, and whose it is by the mapping of owners."""
        return [session_id, self.layout.owner_of(session_id) or ""]

    def _details(self, command: ChatCommand) -> list[Argument]:
        match command:
            case CreateSession():
                self._check_place(command.session_id.encode())
                session = Session(
                    id=command.session_id,
                    user_id=old_user(self.users, command.user_id),
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
                return [message_id, "", "", *flat_fields(self.layout.change_message(content, metadata))]
            case DeleteMessages(message_ids=message_ids):
                return [len(message_ids), *message_ids]
            case _:
                return []

    def _check_place(self, session_id: bytes) -> None:
        """Refuse a session that would lie where our own keys do, as an id may say where the layout has no prefix."""
        prefix = self.layout.prefix
        if (prefix + session_id).startswith(OUR_OWN) and not prefix.startswith(OUR_OWN):
            raise ConflictError(
                f"the session {session_id.decode()!r} would lie among chatstore's own keys in Redis, which begin with "
                f"{OUR_OWN.decode()!r}: give it another id"
            )

    def _session(self, session: Session | None) -> list[Argument]:
        if session is None:
            return [0]
        times: list[Argument] = [to_micros(session.created_at), to_micros(session.updated_at)]
        expires = to_micros(session.expires_at) if session.expires_at else ""
        return [1, session.version, session.born, *times, expires, *_encoded(self.layout.write_session(session))]

    def _message(self, session_id: str, message: Message | NewMessage) -> list[Argument]:
        encoded = self.layout.write_message(session_id, message)
        expires = to_micros(message.expires_at) if message.expires_at else ""
        return [message.id, to_micros(message.created_at), expires, *_encoded(encoded)]


def _encoded(encoded: Encoded) -> list[Argument]:
    return [encoded.rest, *flat_fields(encoded.fields)]


def _place(order: MessageOrder | None) -> tuple[Argument, Argument]:
    return ("", "") if order is None else (order[1], order[0])

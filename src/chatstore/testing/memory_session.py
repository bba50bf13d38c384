"""All that a chat store in memory knows of one session, and the join: `ChatChange`'s definition in plain Python."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from chatstore.errors import NotFoundError
from chatstore.models import ChatChange, Message, MessageTombstone, Session, has_expired

_PART = 1000

_Record = TypeVar("_Record", Session, Message)


@dataclass(slots=True)
class SessionState:
    """One session, dead or alive.

    Attributes:
        lapsed: More than the `born` of every life that expired and is held no more; 0 when there was none.
    """

    session_id: str
    user_id: str
    session: Session | None = None
    deleted: int = 0
    cleared: int = 0
    last: int = 0
    lapsed: int = 0
    messages: dict[str, Message] = field(default_factory=dict)
    tombstones: dict[str, int] = field(default_factory=dict)

    def ordered(self, now: datetime) -> list[Message]:
        """Return the messages that have not expired, in their order."""
        living = (message for message in self.messages.values() if not has_expired(message.expires_at, now))
        return sorted(living, key=lambda message: message.order)

    def message(self, message_id: str, now: datetime) -> Message | None:
        """Return a message; None when there is none, or it has expired."""
        message = self.messages.get(message_id)
        return None if message is None or has_expired(message.expires_at, now) else message

    def visible(self, now: datetime) -> Session | None:
        """Return the header; None when the session was deleted or has expired."""
        return None if self.session is None or has_expired(self.session.expires_at, now) else self.session

    def alive(self) -> Session:
        """Return the header.

        Raises:
            NotFoundError: The session was deleted.
        """
        if self.session is None:
            raise NotFoundError("the session was deleted")
        return self.session

    def touch(self, at: datetime) -> None:
        """Note that the session, or one of its messages, was written."""
        session = self.alive()
        self.session = replace(session, updated_at=max(session.updated_at, at))

    def join(self, change: ChatChange, now: datetime) -> None:
        """Join a change into the state."""
        self.end_lives_before(change.deleted)
        self.cleared = max(self.cleared, change.cleared)
        if change.session is not None and self.is_reached_by(change, now):
            if self.has_expired_before(change, now):
                self._end()
            if self.session is None and has_expired(change.session.expires_at, now):
                self.lapsed = max(self.lapsed, change.session.born + 1)
            else:
                self._join_session(change.session, now)
                self.bury(change.tombstones)
                self._join_messages(change.messages, now)
        self.sweep()
        versions = [self.last, self.deleted, self.cleared, change.session.version if change.session else 0]
        versions += [message.version for message in change.messages]
        versions += [tombstone.version for tombstone in change.tombstones]
        self.last = max(versions)

    def _join_session(self, given: Session, now: datetime) -> None:
        held = self.session or given
        newer = given if _gives_way(held, given, now) else held
        self.session = replace(
            newer, updated_at=max(held.updated_at, given.updated_at), born=max(held.born, given.born)
        )
        self.user_id = newer.user_id

    def _join_messages(self, given: Iterable[Message], now: datetime) -> None:
        for message in given:
            held = self.messages.get(message.id)
            if held is not None and not _gives_way(held, message, now):
                continue
            if has_expired(message.expires_at, now):
                self.messages.pop(message.id, None)
            else:
                self.messages[message.id] = message

    def end_lives_before(self, deleted: int) -> None:
        """Note a deletion of the session: what was born before it is gone."""
        self.deleted = max(self.deleted, deleted)
        if self.session is not None and self.session.born < self.deleted:
            self._end()

    def is_reached_by(self, change: ChatChange, now: datetime) -> bool:
        """Return whether a change is of a life that is neither deleted nor expired before the one that is here."""
        given, held = change.session, self.session
        if given is None or given.born < max(self.deleted, change.deleted):
            return False
        return held is None or given.born >= held.born or not has_expired(given.expires_at, now)

    def has_expired_before(self, change: ChatChange, now: datetime) -> bool:
        """Return whether the life that is here has expired, and a change is of a later one."""
        given, held = change.session, self.session
        if given is None or held is None:
            return False
        return held.born < given.born and has_expired(held.expires_at, now)

    def drop_expired(self, now: datetime) -> None:
        """Remove what has expired: the session with all that belongs to it, or some of its messages."""
        if self.session is not None and has_expired(self.session.expires_at, now):
            self.lapsed = max(self.lapsed, self.session.born + 1)
            self._end()
        for message in list(self.messages.values()):
            if has_expired(message.expires_at, now):
                del self.messages[message.id]

    def _end(self) -> None:
        self.session = None
        self.messages.clear()
        self.tombstones.clear()

    def bury(self, tombstones: Iterable[MessageTombstone]) -> None:
        """Note that messages were deleted; `sweep` takes them away."""
        for tombstone in tombstones:
            self.tombstones[tombstone.id] = max(tombstone.version, self.tombstones.get(tombstone.id, 0))

    def sweep(self) -> None:
        """Drop the messages that a tombstone or `cleared` takes away."""
        for message in list(self.messages.values()):
            if message.version < self.cleared or message.id in self.tombstones:
                del self.messages[message.id]

    def change(self, messages: Sequence[Message] = (), tombstones: Sequence[MessageTombstone] = ()) -> ChatChange:
        """Return the state as a write left it, with these of its messages and tombstones, for the other side."""
        return ChatChange(
            session_id=self.session_id,
            user_id=self.user_id,
            session=self.session,
            deleted=self.deleted,
            cleared=self.cleared,
            messages=tuple(messages),
            tombstones=tuple(tombstones),
        )

    def parts(self, wanted: set[str] | None, now: datetime) -> list[ChatChange]:
        """Return the whole state, or that of some messages, in parts of bounded size; nothing that has expired."""
        if self.session is not None and self.visible(now) is None:
            return [replace(self.change(), session=None)] if self.deleted else []
        messages = [message for message in self.ordered(now) if wanted is None or message.id in wanted]
        tombstones = [
            MessageTombstone(name, version)
            for name, version in self.tombstones.items()
            if wanted is None or name in wanted
        ]
        rest = range(_PART, len(messages), _PART)
        return [
            self.change(messages[:_PART], tombstones),
            *(self.change(messages[start : start + _PART]) for start in rest),
        ]


def _gives_way(held: _Record, given: _Record, now: datetime) -> bool:
    """Return whether a state that is held makes room for another: an older one, or one of the same that has expired."""
    return held.version < given.version or (held.version == given.version and has_expired(held.expires_at, now))

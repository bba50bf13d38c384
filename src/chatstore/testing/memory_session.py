"""All that a chat store in memory knows of one session, and the join: `ChatChange`'s definition in plain Python."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from chatstore.errors import NotFoundError
from chatstore.models import ChatChange, Message, MessageTombstone, Session

_PART = 1000


@dataclass(slots=True)
class SessionState:
    """One session, dead or alive."""

    session_id: str
    user_id: str
    session: Session | None = None
    deleted: int = 0
    cleared: int = 0
    last: int = 0
    messages: dict[str, Message] = field(default_factory=dict)
    tombstones: dict[str, int] = field(default_factory=dict)

    def ordered(self) -> list[Message]:
        """Return the messages in their order."""
        return sorted(self.messages.values(), key=lambda message: message.order)

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
            self._join_session(change.session)
            self.bury(change.tombstones)
            for message in change.messages:
                held = self.messages.get(message.id)
                if held is None or held.version < message.version:
                    self.messages[message.id] = message
        self.sweep()
        versions = [self.last, self.deleted, self.cleared, change.session.version if change.session else 0]
        versions += [message.version for message in change.messages]
        versions += [tombstone.version for tombstone in change.tombstones]
        self.last = max(versions)

    def _join_session(self, given: Session) -> None:
        held = self.session or given
        newer = given if given.version > held.version else held
        self.session = replace(
            newer, updated_at=max(held.updated_at, given.updated_at), born=max(held.born, given.born)
        )
        self.user_id = newer.user_id

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
        return held is None or given.born >= held.born or not _has_expired(given, now)

    def has_expired_before(self, change: ChatChange, now: datetime) -> bool:
        """Return whether the life that is here has expired, and a change is of a later one."""
        given, held = change.session, self.session
        return given is not None and held is not None and held.born < given.born and _has_expired(held, now)

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
        """Return the state with these of its messages and tombstones, for the other side."""
        return ChatChange(
            session_id=self.session_id,
            user_id=self.user_id,
            session=self.session,
            deleted=self.deleted,
            cleared=self.cleared,
            messages=tuple(messages),
            tombstones=tuple(tombstones),
        )

    def parts(self, wanted: set[str] | None) -> list[ChatChange]:
        """Return the whole state, or that of some messages, in parts of bounded size."""
        messages = [message for message in self.ordered() if wanted is None or message.id in wanted]
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


def _has_expired(session: Session, now: datetime) -> bool:
    return session.expires_at is not None and session.expires_at <= now

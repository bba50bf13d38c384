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

    def join(self, change: ChatChange) -> None:
        """Join a change into the state."""
        self.deleted = max(self.deleted, change.deleted)
        self.cleared = max(self.cleared, change.cleared)
        headers = [header for header in (self.session, change.session) if header is not None]
        newest = max(headers, key=lambda header: header.version, default=None)
        if newest is not None:
            newest = replace(newest, updated_at=max(header.updated_at for header in headers))
        self.session = newest if newest is not None and newest.version > self.deleted else None
        if self.session is not None:
            self.user_id = self.session.user_id
        for message in change.messages:
            held = self.messages.get(message.id)
            if held is None or held.version < message.version:
                self.messages[message.id] = message
        self.bury(change.tombstones)
        self.sweep()
        versions = [self.last, self.deleted, self.cleared, newest.version if newest else 0]
        versions += [message.version for message in change.messages]
        versions += [tombstone.version for tombstone in change.tombstones]
        self.last = max(versions)

    def bury(self, tombstones: Iterable[MessageTombstone]) -> None:
        """Note that messages were deleted; `sweep` takes them away."""
        for tombstone in tombstones:
            self.tombstones[tombstone.id] = max(tombstone.version, self.tombstones.get(tombstone.id, 0))

    def sweep(self) -> None:
        """Drop the messages that a tombstone, `cleared` or the session's deletion takes away."""
        if self.session is None:
            # What was appended on the other side beside the deletion goes too, on both alike, whatever comes first.
            self.cleared = max([self.cleared, *(message.version + 1 for message in self.messages.values())])
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

"""What `chatstore_put` takes: of each record in a batch of changes the newest state, once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from chatstore.models import ChatChange, Message, Session
from chatstore.supabase import wire


@dataclass(slots=True)
class _State:
    """Several changes of one session, joined."""

    user_id: str
    session: Session | None = None
    deleted: int = 0
    cleared: int = 0
    last: int = 0
    messages: dict[str, Message] = field(default_factory=dict)
    tombstones: dict[str, int] = field(default_factory=dict)

    def join(self, change: ChatChange) -> None:
        self.deleted = max(self.deleted, change.deleted)
        self.cleared = max(self.cleared, change.cleared)
        if self.session is not None and self.session.born < self.deleted:
            self.session = None
            self.messages.clear()
            self.tombstones.clear()
        if change.session is not None and change.session.born >= self.deleted:
            self.session = _joined(self.session or change.session, change.session)
            for message in change.messages:
                held = self.messages.get(message.id)
                if held is None or held.version < message.version:
                    self.messages[message.id] = message
            for stone in change.tombstones:
                self.tombstones[stone.id] = max(stone.version, self.tombstones.get(stone.id, 0))
        versions = [change.session.version if change.session else 0]
        versions += [message.version for message in change.messages]
        versions += [tombstone.version for tombstone in change.tombstones]
        self.last = max(self.last, *versions)

    def to_row(self, session_id: str) -> dict[str, object]:
        header = {} if self.session is None else wire.session_to_row(self.session)
        return header | {
            "id": session_id,
            "user_id": self.user_id,
            "deleted": self.deleted,
            "cleared": self.cleared,
            "last": max(self.last, self.deleted, self.cleared),
        }


def put_requests(changes: Sequence[ChatChange]) -> Iterator[dict[str, object]]:
    """Yield the requests that join `changes`: one, unless an id passed from one user to another in between."""
    states: dict[str, _State] = {}
    for change in changes:
        if states.setdefault(change.session_id, _State(change.user_id)).user_id != change.user_id:
            yield _request(states)
            states = {change.session_id: _State(change.user_id)}
        states[change.session_id].join(change)
    if states:
        yield _request(states)


def _request(states: dict[str, _State]) -> dict[str, object]:
    return {
        "sessions": [state.to_row(session_id) for session_id, state in states.items()],
        "messages": [wire.message_to_row(message) for state in states.values() for message in state.messages.values()],
        "tombstones": [
            {"session_id": session_id, "id": message_id, "version": version}
            for session_id, state in states.items()
            for message_id, version in state.tombstones.items()
        ],
    }


def _joined(one: Session, other: Session) -> Session:
    newer = one if one.version >= other.version else other
    return replace(newer, updated_at=max(one.updated_at, other.updated_at), born=max(one.born, other.born))

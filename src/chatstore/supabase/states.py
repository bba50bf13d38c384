"""What `chatstore_put_columns` takes: of each record in a batch of changes the newest state, once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from chatstore.models import ChatChange, Message, MessageTombstone, Session
from chatstore.supabase.columns import changes_to_text


def put_requests(changes: Sequence[ChatChange]) -> Iterator[str]:
    """Yield the requests that join `changes`: one, unless an id passed from one user to another in between.

    Raises:
        InvalidRecordError: Postgres could not hold one of the values, whatever the request.
    """
    sessions: dict[str, list[ChatChange]] = {}
    for change in changes:
        met = sessions.setdefault(change.session_id, [])
        if met and met[0].user_id != change.user_id:
            yield _request(sessions)
            sessions = {change.session_id: (met := [])}
        met.append(change)
    if sessions:
        yield _request(sessions)


def _request(sessions: dict[str, list[ChatChange]]) -> str:
    joined = [met[0] if len(met) == 1 and _is_joined(met[0]) else _joined(met) for met in sessions.values()]
    return changes_to_text(joined, [max(map(_last, met)) for met in sessions.values()])


def _is_joined(change: ChatChange) -> bool:
    """Whether a change is what its own parts join to: nothing of a dead life, and each record once."""
    if change.session is None:
        return not change.messages and not change.tombstones
    return (
        change.session.born >= change.deleted
        and len({message.id for message in change.messages}) == len(change.messages)
        and len({stone.id for stone in change.tombstones}) == len(change.tombstones)
    )


def _last(change: ChatChange) -> int:
    """The greatest version that a change has seen, also of what nothing is left of."""
    versions = [message.version for message in change.messages]
    versions += [stone.version for stone in change.tombstones]
    return max(change.deleted, change.cleared, 0 if change.session is None else change.session.version, *versions)


def _joined(changes: Sequence[ChatChange]) -> ChatChange:
    """Several changes of one session as one; it has no fingerprint, as it is of no state that was read."""
    state = _State()
    for change in changes:
        state.join(change)
    return ChatChange(
        session_id=changes[0].session_id,
        user_id=changes[0].user_id,
        session=state.session,
        deleted=state.deleted,
        cleared=state.cleared,
        messages=tuple(state.messages.values()),
        tombstones=tuple(MessageTombstone(name, version) for name, version in state.tombstones.items()),
    )


@dataclass(slots=True)
class _State:
    session: Session | None = None
    deleted: int = 0
    cleared: int = 0
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
            self.session = _newer(self.session or change.session, change.session)
            for message in change.messages:
                held = self.messages.get(message.id)
                if held is None or held.version < message.version:
                    self.messages[message.id] = message
            for stone in change.tombstones:
                self.tombstones[stone.id] = max(stone.version, self.tombstones.get(stone.id, 0))


def _newer(one: Session, other: Session) -> Session:
    newer = one if one.version >= other.version else other
    return replace(newer, updated_at=max(one.updated_at, other.updated_at), born=max(one.born, other.born))

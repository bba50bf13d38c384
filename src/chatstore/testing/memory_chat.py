"""A chat store that lives in this process only: the definition of what every other one does, in plain Python."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime

from chatstore.errors import ConflictError, NotFoundError
from chatstore.interfaces import ChatSide
from chatstore.models import (
    AppendMessages,
    ChatChange,
    ChatCommand,
    ChatCount,
    ChatWritten,
    ClearMessages,
    CreateSession,
    DeleteMessages,
    DeleteSession,
    EditMessage,
    KeyPage,
    Mark,
    Message,
    MessageOrder,
    MessageTombstone,
    NewMessage,
    Page,
    PopMessage,
    ScanPage,
    Session,
    Side,
    Swept,
    UpdateSession,
    next_version,
    to_micros,
    utc_now,
)
from chatstore.models.checks import check_count, check_names, check_order
from chatstore.models.paging import parse_place, place_behind
from chatstore.testing.memory_journal import MemoryJournal
from chatstore.testing.memory_session import SessionState

_KEYS_A_PAGE = 2
"""Few, so that a test of a few sessions meets more than one page."""


class MemoryChat(ChatSide):
    """A `ChatSide` in a dict. Nothing is awaited inside a method, so each is one atomic step.

    Args:
        side: Which side it plays.
        now: The clock; replace it to test what a jump of the clock does.
    """

    def __init__(self, side: Side, *, now: Callable[[], datetime] = utc_now) -> None:
        self.side = side
        self.journal: MemoryJournal = MemoryJournal()
        self._now = now
        self._states: dict[str, SessionState] = {}
        self._put: dict[str, _Put] = {}

    async def write(self, command: ChatCommand, mark: Mark | None = None) -> ChatWritten:
        written = self._execute(command)
        if written.change is not None and mark is not None:
            self.journal.set([mark])
        return written

    def _execute(self, command: ChatCommand) -> ChatWritten:
        match command:
            case CreateSession():
                return self._create(command)
            case DeleteSession():
                return self._delete(command)
            case _:
                state = self._state_of(command.user_id, command.session_id)
        match command:
            case UpdateSession():
                return self._update(state, command)
            case AppendMessages():
                return self._append(state, command)
            case EditMessage():
                return self._edit(state, command)
            case PopMessage():
                return self._remove(state, command.at, state.ordered(self._now())[-1:])
            case DeleteMessages(message_ids=ids):
                now = self._now()
                found = {i: message for i in ids if (message := state.message(i, now)) is not None}
                return self._remove(state, command.at, list(found.values()))
            case ClearMessages():
                return self._clear(state, command.at)

    def _create(self, command: CreateSession) -> ChatWritten:
        state = self._state(command.session_id, command.user_id)
        present = state.visible(self._now())
        if present is not None:
            same = (present.user_id, present.title, present.metadata) == (
                command.user_id,
                command.title,
                command.metadata,
            )
            if not same:
                raise ConflictError(f"the session id {command.session_id!r} is taken: choose another one")
            return ChatWritten(change=None, session=present)
        if state.session is not None or state.lapsed > state.deleted:
            # It expired, which is a deletion that is written down only now.
            self._end(state)
        version = self._next(state)
        state.user_id = command.user_id
        state.session = Session(
            id=command.session_id,
            user_id=command.user_id,
            title=command.title,
            metadata=command.metadata,
            created_at=command.at,
            updated_at=command.at,
            expires_at=command.expires_at,
            version=version,
            born=version,
            extra=command.extra,
        )
        return _written(state)

    def _update(self, state: SessionState, command: UpdateSession) -> ChatWritten:
        session = state.alive()
        state.session = replace(
            session,
            title=session.title if command.title is None else command.title,
            metadata=session.metadata if command.metadata is None else command.metadata,
            version=self._next(state),
        )
        state.touch(command.at)
        return _written(state)

    def _delete(self, command: DeleteSession) -> ChatWritten:
        state = self._states.get(command.session_id)
        session = None if state is None else state.visible(self._now())
        if state is None or session is None or session.user_id != command.user_id:
            return ChatWritten(change=None, session=None)
        self._end(state)
        return _written(state)

    def _end(self, state: SessionState) -> None:
        state.cleared = self._next(state)
        state.end_lives_before(state.cleared)

    def _append(self, state: SessionState, command: AppendMessages) -> ChatWritten:
        if command.replace:
            return self._replace(state, command)
        now = self._now()
        new = [message for message in command.messages if not _is_there(state, message, now)]
        stored = self._add(state, command, new)
        wanted = [state.messages[message.id] for message in command.messages]
        if not stored:
            return ChatWritten(change=None, session=state.session, messages=tuple(wanted))
        state.touch(command.at)
        return _written(state, messages=stored, concerned=wanted)

    def _replace(self, state: SessionState, command: AppendMessages) -> ChatWritten:
        now = self._now()
        for message in command.messages:
            if state.message(message.id, now) is not None or message.id in state.tombstones:
                raise ConflictError(f"the message id {message.id!r} was used in this session before")
        state.cleared = self._next(state)
        state.sweep()
        stored = self._add(state, command, command.messages)
        state.touch(command.at)
        return _written(state, messages=stored, concerned=stored)

    def _add(self, state: SessionState, command: AppendMessages, new: Sequence[NewMessage]) -> list[Message]:
        if not new:
            return []
        version = self._next(state)
        start = max((message.position for message in state.messages.values()), default=-1) + 1
        stored = [
            Message(
                id=message.id,
                session_id=command.session_id,
                user_id=command.user_id,
                position=start + offset,
                role=message.role,
                content=message.content,
                metadata=message.metadata,
                created_at=message.created_at,
                expires_at=message.expires_at,
                version=version,
                extra=message.extra,
            )
            for offset, message in enumerate(new)
        ]
        state.messages.update({message.id: message for message in stored})
        return stored

    def _edit(self, state: SessionState, command: EditMessage) -> ChatWritten:
        message = state.message(command.message_id, self._now())
        if message is None:
            raise NotFoundError(f"the session has no message {command.message_id!r}")
        edited = replace(
            message,
            content=message.content if command.content is None else command.content,
            metadata=message.metadata if command.metadata is None else command.metadata,
            version=self._next(state),
        )
        state.messages[edited.id] = edited
        state.touch(command.at)
        return _written(state, messages=[edited], concerned=[edited])

    def _remove(self, state: SessionState, at: datetime, removed: Sequence[Message]) -> ChatWritten:
        if not removed:
            return ChatWritten(change=None, session=state.session)
        version = self._next(state)
        tombstones = [MessageTombstone(message.id, version) for message in removed]
        state.bury(tombstones)
        state.sweep()
        state.touch(at)
        return _written(state, tombstones=tombstones, concerned=removed)

    def _clear(self, state: SessionState, at: datetime) -> ChatWritten:
        state.cleared = self._next(state)
        state.sweep()
        state.touch(at)
        return _written(state)

    async def put(self, changes: Sequence[ChatChange]) -> None:
        for change in changes:
            state = self._state(change.session_id, change.user_id)
            if self._is_taken(state, change):
                raise ConflictError(f"the session id {change.session_id!r} is taken by another user")
            state.join(change, self._now())
            if change.fingerprint is not None:
                self._put[change.session_id] = _Put(change.fingerprint, digest_of(change), len(change.messages))

    async def get_session(self, user_id: str, session_id: str) -> Session:
        check_names(user_id, session_id=session_id)
        return self._state_of(user_id, session_id).alive()

    async def list_sessions(self, user_id: str, *, limit: int = 50, after: str | None = None) -> Page[Session]:
        check_names(user_id)
        check_count(limit, "limit", least=1)
        mine = [
            session
            for state in self._states.values()
            if (session := state.visible(self._now())) is not None and session.user_id == user_id
        ]
        mine.sort(key=_recency, reverse=True)
        rest = [session for session in mine if after is None or _recency(session) < parse_place(after)]
        page = rest[:limit]
        following = place_behind(page[-1].updated_at, page[-1].id) if len(rest) > limit else None
        return Page(tuple(page), following)

    async def held_by(self, user_id: str) -> AsyncIterator[Sequence[str]]:
        # Of a copy, since whoever asks may delete them meanwhile.
        for name, state in list(self._states.items()):
            if state.session is not None and state.session.user_id == user_id:
                yield [name]

    async def messages(
        self, user_id: str, session_id: str, *, after: MessageOrder | None = None, limit: int | None = None
    ) -> list[Message]:
        check_names(user_id, session_id=session_id)
        check_order(after, "after")
        if limit is not None:
            check_count(limit, "limit")
        ordered = self._state_of(user_id, session_id).ordered(self._now())
        return [message for message in ordered if after is None or message.order > after][:limit]

    async def last_messages(
        self, user_id: str, session_id: str, count: int, *, before: MessageOrder | None = None
    ) -> list[Message]:
        check_names(user_id, session_id=session_id)
        check_order(before, "before")
        check_count(count, "count")
        ordered = self._state_of(user_id, session_id).ordered(self._now())
        return [message for message in ordered if before is None or message.order < before][-count or len(ordered) :]

    async def count_messages(self, user_id: str, session_id: str) -> int:
        check_names(user_id, session_id=session_id)
        return len(self._state_of(user_id, session_id).ordered(self._now()))

    async def fetch(
        self, session_ids: Sequence[str], *, message_ids: Sequence[str] | None = None
    ) -> AsyncIterator[ScanPage[ChatChange]]:
        for session_id in session_ids:
            state = self._states.get(session_id)
            if state is not None and (state.session is not None or state.deleted):
                wanted = None if message_ids is None else set(message_ids)
                parts = state.parts(wanted, self._now())
                whole = wanted is None and len(parts) == 1 and parts[0].session is not None
                for change in parts:
                    told = replace(change, fingerprint=digest_of(change)) if whole else change
                    yield ScanPage((told,), (), None)

    async def fingerprints(self, session_ids: Sequence[str]) -> Mapping[str, str]:
        wholes = {name: self._whole(name) for name in session_ids}
        return {name: digest_of(whole) for name, whole in wholes.items() if whole is not None}

    async def proved(self, fingerprints: Mapping[str, str]) -> Mapping[str, int]:
        put = {name: self._put.get(name, _NOTHING) for name in fingerprints}
        return {
            name: put[name].messages
            for name, fingerprint in fingerprints.items()
            if put[name].fingerprint == fingerprint and self._holds(name, put[name].digest)
        }

    def _holds(self, session_id: str, digest: str) -> bool:
        whole = self._whole(session_id)
        return whole is not None and digest_of(whole) == digest

    def _whole(self, session_id: str) -> ChatChange | None:
        """Return a session as `fetch` tells it; None when there is none, or it takes several parts."""
        state = self._states.get(session_id)
        parts = [] if state is None or state.session is None else state.parts(None, self._now())
        return parts[0] if len(parts) == 1 and parts[0].session is not None else None

    async def keys(self, cursor: str | None = None) -> AsyncIterator[KeyPage[str]]:
        ids = [name for name in sorted(self._states) if cursor is None or name > cursor]
        for start in range(0, len(ids), _KEYS_A_PAGE):
            part = ids[start : start + _KEYS_A_PAGE]
            yield KeyPage(tuple(part), (), part[-1] if start + _KEYS_A_PAGE < len(ids) else None)

    async def count(self) -> ChatCount:
        alive = [state for state in self._states.values() if state.session is not None]
        return ChatCount(len(alive), sum(len(state.messages) for state in alive))

    async def sweep(self, *, limit: int = 10_000) -> Swept:
        now, swept = self._now(), Swept()
        for state in self._states.values():
            if swept.sessions + swept.messages + swept.tombstones >= limit:
                return replace(swept, more=True)
            before = _size(state)
            state.drop_expired(now)
            sessions, messages, tombstones = (then - since for then, since in zip(before, _size(state), strict=True))
            swept += Swept(sessions=sessions, messages=messages, tombstones=tombstones)
        return swept

    async def close(self) -> None:
        pass

    def _is_taken(self, state: SessionState, change: ChatChange) -> bool:
        """Return whether a change would touch another user's session: replace it, or delete it."""
        held, now = state.session, self._now()
        if held is None or held.user_id == change.user_id or state.has_expired_before(change, now):
            return False
        return held.born < change.deleted or state.is_reached_by(change, now)

    def _state_of(self, user_id: str, session_id: str) -> SessionState:
        state = self._states.get(session_id)
        session = None if state is None else state.visible(self._now())
        if state is None or session is None or session.user_id != user_id:
            raise NotFoundError(f"there is no session {session_id!r} of this user")
        return state

    def _state(self, session_id: str, user_id: str) -> SessionState:
        return self._states.setdefault(session_id, SessionState(session_id, user_id))

    def _next(self, state: SessionState) -> int:
        state.last = next_version(state.last, to_micros(self._now()), self.side)
        return state.last


@dataclass(frozen=True, slots=True)
class _Put:
    """What a session was put with: its fingerprint on the other side, and the digest of what is then held here."""

    fingerprint: str | None
    digest: str
    messages: int


_NOTHING = _Put(None, "", 0)
_FIELDS = {kind: tuple(part.name for part in fields(kind)) for kind in (Session, Message)}


def digest_of(change: ChatChange) -> str:
    """Return a digest of a change: as long as it is the same, so is the change, to the type of each value."""
    rest = replace(change, session=None, messages=(), fingerprint=None)
    # Whose own `repr` shows no content.
    records = [_values(record) for record in (change.session, *change.messages) if record is not None]
    return hashlib.sha256(repr((rest, change.session is None, records)).encode()).hexdigest()


def _values(record: Session | Message) -> tuple[object, ...]:
    return tuple(getattr(record, name) for name in _FIELDS[type(record)])


def _size(state: SessionState) -> tuple[int, int, int]:
    return (0 if state.session is None else 1, len(state.messages), len(state.tombstones))


def _is_there(state: SessionState, message: NewMessage, now: datetime) -> bool:
    if message.id in state.tombstones:
        raise ConflictError(f"the message {message.id!r} was deleted from this session: append it under a new id")
    held = state.message(message.id, now)
    if held is not None and (held.role, held.content) != (message.role, message.content):
        raise ConflictError(f"the message id {message.id!r} is taken by a message with other content")
    return held is not None


def _written(
    state: SessionState,
    *,
    messages: Sequence[Message] = (),
    tombstones: Sequence[MessageTombstone] = (),
    concerned: Sequence[Message] = (),
) -> ChatWritten:
    return ChatWritten(change=state.change(messages, tombstones), session=state.session, messages=tuple(concerned))


def _recency(session: Session) -> tuple[int, str]:
    return (to_micros(session.updated_at), session.id)

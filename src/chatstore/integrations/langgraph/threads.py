"""Where a user's threads of LangGraph's lie: each namespace of a thread is a session of its own.

A thread's namespaces are written down in one more session, which is there only if it has any beside the root's. It
names one before that one's session is made, so that a thread can be deleted whole. A message's id begins with a digest
of its session's, as there are layouts in which no two messages may have one id.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta

from chatstore.errors import ConflictError, NotFoundError
from chatstore.integrations.langgraph.records import Saved, Write, overwrites, record_of
from chatstore.interfaces import UserChat
from chatstore.models import JsonObject, Message, NewMessage, Session

MARKER = "langgraph"
"""A session's metadata have this key where it holds a thread of LangGraph's, and no conversation."""
_FIRST_PAGE, _PAGE, _SESSIONS_A_PAGE, _IDS_AT_ONCE = 4, 64, 200, 1000
_LATE = timedelta(minutes=1)
"""A run that does not wait for its checkpoints may store a write before the checkpoint that it belongs to. It was made
after that one, so it lies behind what was made before; give or take calls that were repeated, and clocks."""


@dataclass(frozen=True, slots=True)
class Place:
    """A namespace of a thread; the root's is the empty text."""

    thread: str
    namespace: str

    @property
    def session_id(self) -> str:
        """The session that holds it."""
        # A namespace holds a uuid of each level, and an id is of 1,024 bytes at most.
        root = _root(self.thread)
        return f"{root}/{_digest(self.namespace)}" if self.namespace else root

    @property
    def marker(self) -> JsonObject:
        """The metadata of that session."""
        return {MARKER: {"thread": self.thread, "namespace": self.namespace}}


class Threads:
    """One user's threads.

    Args:
        chat: The user's chat history.
    """

    def __init__(self, chat: UserChat) -> None:
        self._chat = chat

    async def put(self, place: Place, message: NewMessage) -> None:
        """Store a record, in the place of one of the same id.

        Raises:
            ConflictError: Another user has a thread of that id, or the record was deleted.
        """
        try:
            await self._append(place, [message])
        except ConflictError as conflict:
            await self._replace(place, message, conflict)

    async def put_new(self, place: Place, messages: Sequence[NewMessage]) -> None:
        """Store writes. One that is there already stays as it is, unless it is one that overwrites.

        Raises:
            ConflictError: Another user has a thread of that id.
        """
        try:
            await self._append(place, messages)
        except ConflictError:
            await self._create(place)  # which tells whether the thread is another user's
            for message in messages:
                try:
                    await self._append(place, [message])
                except ConflictError as conflict:
                    if overwrites(message):
                        await self._replace(place, message, conflict)

    async def saved(self, place: Place) -> AsyncGenerator[tuple[Saved, list[Write]], None]:
        """Yield the checkpoints of a place, the last one that was stored first, each with its writes in their order."""
        writes: dict[str, list[Write]] = {}
        found: deque[Saved] = deque()
        async with aclosing(self._backwards(place)) as messages:
            async for message in messages:
                while found and message.created_at < found[0].at - _LATE:
                    yield _with_writes(found.popleft(), writes)
                record = record_of(message)
                if isinstance(record, Saved):
                    found.append(record)
                else:
                    writes.setdefault(record.checkpoint, []).append(record)
        for checkpoint in found:
            yield _with_writes(checkpoint, writes)

    async def places(self, thread: str) -> list[Place]:
        """Return the namespaces of a thread, the root's first; they need not be there."""
        found = [Place(thread, "")]
        after = None
        while True:
            try:
                page = await self._chat.messages(_registry(thread), after=after, limit=_SESSIONS_A_PAGE)
            except NotFoundError:
                return found
            found += [Place(thread, message.content) for message in page]
            if len(page) < _SESSIONS_A_PAGE:
                return found
            after = page[-1].order

    async def all_places(self) -> AsyncGenerator[Place, None]:
        """Yield all namespaces of all threads of the user, the one that was written last first."""
        after = None
        while True:
            page = await self._chat.list_sessions(limit=_SESSIONS_A_PAGE, after=after)
            for session in page.items:
                if (place := _place_of(session)) is not None:
                    yield place
            if (after := page.next) is None:
                return

    async def delete(self, thread: str) -> None:
        """Delete a thread with all of its namespaces."""
        for place in reversed(await self.places(thread)):
            await self._chat.delete_session(place.session_id)
        await self._chat.delete_session(_registry(thread))

    async def copy(self, thread: str, target: str) -> None:
        """Copy all of a thread into another one."""
        for place in await self.places(thread):
            after = None
            while True:
                try:
                    page = await self._chat.messages(place.session_id, after=after, limit=_PAGE)
                except NotFoundError:
                    break
                if page:
                    await self._append(Place(target, place.namespace), [_anew(message) for message in page])
                if len(page) < _PAGE:
                    break
                after = page[-1].order

    async def drop(self, place: Place, checkpoint_ids: set[str]) -> None:
        """Delete checkpoints of a place with their writes."""
        ids = []
        async with aclosing(self._backwards(place)) as messages:
            async for message in messages:
                record = record_of(message)
                if (record.id if isinstance(record, Saved) else record.checkpoint) in checkpoint_ids:
                    ids.append(message.id)
        for start in range(0, len(ids), _IDS_AT_ONCE):
            await self._chat.delete_messages(place.session_id, ids[start : start + _IDS_AT_ONCE])

    async def _backwards(self, place: Place) -> AsyncGenerator[Message, None]:
        before, size = None, _FIRST_PAGE  # a state may be large, and what is asked for mostly lies at the end
        while True:
            try:
                page = await self._chat.last_messages(place.session_id, size, before=before)
            except NotFoundError:
                return
            for message in reversed(page):
                yield message
            if len(page) < size:
                return
            before, size = page[0].order, min(2 * size, _PAGE)

    async def _append(self, place: Place, messages: Sequence[NewMessage]) -> None:
        named = [replace(message, id=_id_in(place.session_id, message.id)) for message in messages]
        try:
            await self._chat.append(place.session_id, named)
        except NotFoundError:
            await self._create(place)
            await self._chat.append(place.session_id, named)

    async def _create(self, place: Place) -> None:
        if place.namespace:
            registry = _registry(place.thread)
            named = NewMessage("namespace", place.namespace, id=_id_in(registry, _digest(place.namespace)))
            await self._chat.create_session(session_id=registry, metadata={MARKER: {"namespaces_of": place.thread}})
            await self._chat.append(registry, named)
        await self._chat.create_session(session_id=place.session_id, metadata=place.marker)

    async def _replace(self, place: Place, message: NewMessage, conflict: ConflictError) -> None:
        try:
            message_id = _id_in(place.session_id, message.id)
            await self._chat.edit_message(place.session_id, message_id, content=message.content)
        except NotFoundError:
            raise conflict from None


def is_thread(session: Session) -> bool:
    """Return whether a session holds records of LangGraph's, and no conversation."""
    return MARKER in session.metadata


def _with_writes(checkpoint: Saved, writes: dict[str, list[Write]]) -> tuple[Saved, list[Write]]:
    return checkpoint, sorted(writes.pop(checkpoint.id, []), key=lambda write: write.order)


def _place_of(session: Session) -> Place | None:
    held = session.metadata.get(MARKER)
    if not isinstance(held, dict):
        return None
    thread, namespace = held.get("thread"), held.get("namespace")
    return Place(thread, namespace) if isinstance(thread, str) and isinstance(namespace, str) else None


def _root(thread: str) -> str:
    # Where a mapping of owners tells by the beginning of a session's id whose it is, it tells the same of this one.
    return f"{thread}/{MARKER}"


def _registry(thread: str) -> str:
    return f"{_root(thread)}/namespaces"


def _id_in(session_id: str, name: str) -> str:
    return f"{_digest(session_id)}/{name}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _anew(message: Message) -> NewMessage:
    name = message.id.partition("/")[2]
    return NewMessage(message.role, message.content, id=name, created_at=message.created_at)

"""A user's records of one kind, and how they are deleted: sessions, or documents."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic

from chatstore.errors import ConflictError, LayoutError
from chatstore.interfaces import ChatSide, DocumentSide
from chatstore.models import (
    ChatChange,
    DeleteDocuments,
    DeleteSession,
    DocumentChange,
    DocumentKey,
    Kind,
    Mark,
    Side,
    next_version,
    to_micros,
    utc_now,
)
from chatstore.routing.documents import LEASE
from chatstore.routing.refusals import Refusal, put_chat, put_documents
from chatstore.routing.repair import Repairer, chat_repairer, document_repairer
from chatstore.routing.settle import end_leases
from chatstore.routing.sides import S, Sides

_AT_ONCE = 8
_BATCH = 100
_BURIAL = timedelta(seconds=60)
"""For how long the mark of a burial is its own; longer than it takes."""


@dataclass(slots=True)
class Deleted:
    """What came of deleting some records of one side.

    Attributes:
        unseen: Those of which the side's own command found none: it holds them, but they have expired, or are older
            than a deletion that was not finished.
        unreadable: Those that cannot be read, and so not be deleted by the layout.
    """

    unseen: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


class Belongings(ABC, Generic[S]):
    """A user's records of one kind.

    Args:
        user_id: Whose.
        stores: Each side that there is.

    Attributes:
        kind: Which kind.
    """

    kind: Kind
    _messages: tuple[str, ...] | None = None

    def __init__(self, user_id: str, stores: Mapping[Side, S]) -> None:
        self.user_id = user_id
        self.stores = stores

    @property
    def sides(self) -> Sides[S] | None:
        """Both sides; None where there is one only."""
        return Sides(self.stores[Side.OLD], self.stores[Side.NEW]) if len(self.stores) > 1 else None

    async def held(self, side: Side) -> list[str]:
        """Return the ids of all that a side holds.

        Raises:
            UnavailableError: It did not answer.
        """
        return list(dict.fromkeys([name async for names in self.stores[side].held_by(self.user_id) for name in names]))

    @abstractmethod
    async def delete(self, side: Side, ids: Sequence[str]) -> Deleted:
        """Delete records of a side, each with its mark.

        Raises:
            UnavailableError: The side did not answer; any number of them were deleted, and are marked.
        """

    async def bury(self, held_by: Side, ids: Sequence[str]) -> int:
        """Have it known that records are deleted which a side holds and no command of its own finds.

        The deletion is joined into the other side, where there is one, and marked there: so a merge brings it to the
        side that holds them, and a join removes what is older than it, expired or not.

        Returns:
            How many were refused.

        Raises:
            UnavailableError: A side did not answer.
        """
        side = held_by.other if self.sides else held_by
        now = utc_now()
        marks = [self._mark(side, name, "forget", lease_until=now + _BURIAL) for name in ids]
        journal = self.stores[side].journal
        await journal.add(marks)
        refusals = await self._put(side, ids, next_version(0, to_micros(now), side))
        await end_leases(journal, marks)
        return len(refusals)

    @abstractmethod
    async def _put(self, side: Side, ids: Sequence[str], deleted: int) -> Sequence[Refusal]:
        """Join deletions of this version into a side."""

    @abstractmethod
    def repairer(self, sides: Sides[S]) -> Repairer[S]:
        """Return what merges marks of this kind."""

    def _mark(self, side: Side, name: str, op: str, *, lease_until: datetime | None = None) -> Mark:
        return Mark(
            key=name,
            user_id=self.user_id,
            side=side,
            op=op,
            message_ids=self._messages,
            lease_until=lease_until,
            while_open=self.sides is None,
        )


class Sessions(Belongings[ChatSide]):
    """A user's sessions, with their messages."""

    kind = Kind.CHAT
    _messages = ()  # The deletion of a session says it all.

    async def delete(self, side: Side, ids: Sequence[str]) -> Deleted:
        deleted, gate = Deleted(), asyncio.Semaphore(_AT_ONCE)

        async def delete(name: str) -> None:
            command = DeleteSession(user_id=self.user_id, session_id=name)
            async with gate:
                try:
                    written = await self.stores[side].write(command, self._mark(side, name, command.op))
                except LayoutError:
                    deleted.unreadable.append(name)
                    return
            if written.change is None:
                deleted.unseen.append(name)

        for start in range(0, len(ids), _BATCH):
            await _all(delete, ids[start : start + _BATCH])
        return deleted

    async def _put(self, side: Side, ids: Sequence[str], deleted: int) -> Sequence[Refusal]:
        changes = [
            ChatChange(session_id=name, user_id=self.user_id, session=None, deleted=deleted, cleared=deleted)
            for name in ids
        ]
        return await put_chat(self.stores[side].put, changes)

    def repairer(self, sides: Sides[ChatSide]) -> Repairer[ChatSide]:
        return chat_repairer(sides)


class Documents(Belongings[DocumentSide]):
    """A user's documents."""

    kind = Kind.DOCUMENTS

    async def delete(self, side: Side, ids: Sequence[str]) -> Deleted:
        deleted = Deleted()
        for start in range(0, len(ids), _BATCH):
            await self._delete(side, ids[start : start + _BATCH], deleted)
        return deleted

    async def _delete(self, side: Side, ids: Sequence[str], deleted: Deleted) -> None:
        """Delete some documents, or those of them that can be read."""
        store = self.stores[side]
        command = DeleteDocuments(user_id=self.user_id, ids=tuple(ids))
        lease_until = None if store.atomic else utc_now() + LEASE
        marks = [self._mark(side, name, command.op, lease_until=lease_until) for name in ids]
        try:
            written = await store.write(command, marks)
        except (LayoutError, ConflictError):
            if len(ids) == 1:
                deleted.unreadable += ids
                return
            middle = len(ids) // 2
            await self._delete(side, ids[:middle], deleted)
            await self._delete(side, ids[middle:], deleted)
            return
        if lease_until is not None:
            # Nothing of it comes late any more: it may be merged at once.
            await end_leases(store.journal, marks)
        gone = {change.key.id for change in written.changes}
        deleted.unseen += [name for name in ids if name not in gone]

    async def _put(self, side: Side, ids: Sequence[str], deleted: int) -> Sequence[Refusal]:
        keys = [DocumentKey(self.user_id, name) for name in ids]
        return await put_documents(
            self.stores[side].put, [DocumentChange(key=key, document=None, deleted=deleted) for key in keys]
        )

    def repairer(self, sides: Sides[DocumentSide]) -> Repairer[DocumentSide]:
        return document_repairer(sides)


async def _all(work: Callable[[str], Coroutine[Any, Any, None]], ids: Collection[str]) -> None:
    """Do it for all, and raise the first error only when every one has ended."""
    for outcome in await asyncio.gather(*map(work, ids), return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome

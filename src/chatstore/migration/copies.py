"""What differs between copying sessions and copying documents from one side to the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from chatstore.interfaces import ChatSide, DocumentSide, Journal
from chatstore.migration.announced import put_announced
from chatstore.migration.counting import ChatCounter, Counter, DocumentCounter
from chatstore.migration.patience import Patience
from chatstore.migration.reading import closing
from chatstore.migration.reports import Tally
from chatstore.models import ChatChange, DocumentChange, Kind, Quarantined, ScanPage, Side
from chatstore.routing import Sides, put_chat, put_documents

C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Refused:
    """What a target did not take of a batch.

    Attributes:
        records: An entry for each, for the quarantine.
        tally: How many records they are: a session that is refused takes its messages with it.
    """

    records: tuple[Quarantined, ...] = ()
    tally: Tally = field(default_factory=Tally)


class Copy(ABC, Generic[C]):
    """One kind's way from a source to a target.

    Attributes:
        kind: What is copied.
        source_side: From where.
        target_side: To where.
        source_atomic: Whether the source sets a write's mark in the step that writes.
        journals: The source's and the target's.
        counter: Counts what was read.
    """

    kind: Kind
    source_side: Side
    target_side: Side
    source_atomic: bool
    journals: tuple[Journal, Journal]
    counter: Counter[C]

    @property
    @abstractmethod
    def notes(self) -> tuple[str, ...]:
        """What one of the sides never stored or does not hold exactly; whole once the run is over."""

    @abstractmethod
    def scan(self, cursor: str | None) -> AsyncIterator[ScanPage[C]]:
        """Yield the source's pages from a cursor on."""

    @abstractmethod
    def deleted(self, cursor: str | None) -> AsyncIterator[ScanPage[C]]:
        """Yield, for the target's pages from a cursor on, which of their records the source knows to be deleted."""

    @abstractmethod
    async def put(self, changes: Sequence[C], patience: Patience) -> Refused:
        """Join changes into the target and return what it refused."""

    @abstractmethod
    async def count(self) -> int:
        """Return how many records the source holds."""


class ChatCopy(Copy[ChatChange]):
    """The way of sessions and messages."""

    def __init__(self, source: ChatSide, target: ChatSide) -> None:
        self.kind = Kind.CHAT
        self.source_side, self.target_side = source.side, target.side
        self.source_atomic = True
        self.journals = (source.journal, target.journal)
        self.counter = ChatCounter()
        self._source = source
        self._target = target

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self._source.notes, *self._target.notes)

    def scan(self, cursor: str | None) -> AsyncIterator[ScanPage[ChatChange]]:
        return self._source.scan(cursor)

    async def deleted(self, cursor: str | None) -> AsyncIterator[ScanPage[ChatChange]]:
        async with closing(self._target.scan(cursor)) as pages:
            async for page in pages:
                ids = tuple(dict.fromkeys(change.session_id for change in page.changes))
                # Without their messages: deletions of messages come with the sessions that are still there.
                known = [change async for part in self._source.fetch(ids, message_ids=()) for change in part.changes]
                yield ScanPage(tuple(change for change in known if change.session is None), (), page.cursor)

    async def put(self, changes: Sequence[ChatChange], patience: Patience) -> Refused:
        async def put(part: Sequence[ChatChange]) -> None:
            await patience.until_done(lambda: self._target.put(part))

        refusals = await put_chat(put, changes)
        return Refused(
            tuple(refusal.entry for refusal in refusals),
            Tally(
                sessions=sum(refusal.header for refusal in refusals),
                messages=sum(refusal.messages for refusal in refusals),
            ),
        )

    async def count(self) -> int:
        count = await self._source.count()
        return count.sessions + count.messages


class DocumentCopy(Copy[DocumentChange]):
    """The way of documents."""

    def __init__(self, source: DocumentSide, target: DocumentSide) -> None:
        self.kind = Kind.DOCUMENTS
        self.source_side, self.target_side = source.side, target.side
        self.source_atomic = source.atomic
        self.journals = (source.journal, target.journal)
        self.counter = DocumentCounter()
        self._source = source
        self._target = target
        self._sides = Sides(source, target) if source.side is Side.OLD else Sides(target, source)

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self._source.notes, *self._target.notes)

    def scan(self, cursor: str | None) -> AsyncIterator[ScanPage[DocumentChange]]:
        return self._source.scan(cursor)

    async def deleted(self, cursor: str | None) -> AsyncIterator[ScanPage[DocumentChange]]:
        async with closing(self._target.scan(cursor)) as pages:
            async for page in pages:
                known = await self._source.changes(tuple(change.key for change in page.changes))
                yield ScanPage(tuple(change for change in known.changes if change.document is None), (), page.cursor)

    async def put(self, changes: Sequence[DocumentChange], patience: Patience) -> Refused:
        unreadable: list[Quarantined] = []

        async def put(part: Sequence[DocumentChange]) -> None:
            if self._target.atomic:
                await patience.until_done(lambda: self._target.put(part))
                return
            keys = [change.key for change in part]
            # Each attempt announces itself anew: the one before may still be under way in the server.
            unreadable.extend(
                await patience.until_done(lambda: put_announced(self._sides, self.source_side, keys, op="backfill"))
            )

        entries = [refusal.entry for refusal in await put_documents(put, changes)]
        return Refused((*entries, *unreadable), Tally(documents=len(entries) + len(unreadable)))

    async def count(self) -> int:
        return await self._source.count()

"""What differs between copying sessions and copying documents from one side to the other."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace
from typing import ClassVar, Generic, TypeVar

from chatstore.errors import ConflictError, InvalidRecordError
from chatstore.interfaces import ChatSide, DocumentSide
from chatstore.migration.announced import put_announced
from chatstore.migration.batches import Batch, Done, Work
from chatstore.migration.counting import weight_of_chat
from chatstore.migration.reading import ahead, batched, closing
from chatstore.migration.reports import Tally
from chatstore.models import DocumentChange, DocumentKey, KeyPage, Kind, Quarantined, Side
from chatstore.routing import Sides, put_chat, put_documents

K = TypeVar("K")
T = TypeVar("T")

_RECORDS_AT_ONCE = 5000
"""In one put. A batch may be of any size, as a session may: it is read and written in parts like this."""


class Copy(ABC, Generic[K]):
    """One kind's way from a source to a target.

    Attributes:
        kind: What is copied.
        at_once: How many keys make a batch, where nobody says otherwise.
        source_side: From where.
        target_side: To where.
        space: Which of the source's data.
        source_atomic: Whether the source sets a write's mark in the step that writes.
        journals: The source's and the target's.
        loads: What asks the source's server, and the target's, how busy it is.
    """

    kind: ClassVar[Kind]
    at_once: ClassVar[int]
    source_atomic: bool

    def __init__(self, source: ChatSide | DocumentSide, target: ChatSide | DocumentSide) -> None:
        self.source_side, self.target_side = source.side, target.side
        self.space = source.space
        self.journals = (source.journal, target.journal)
        self.loads = (source.load, target.load)
        self._both = (source, target)

    @property
    def notes(self) -> tuple[str, ...]:
        """What one of the sides never stored or does not hold exactly; whole once the run is over."""
        return tuple(note for side in self._both for note in side.notes)

    @abstractmethod
    def keys(self, work: Work, cursor: str | None) -> AsyncIterator[KeyPage[K]]:
        """Yield, from a cursor on, the keys of all records that some work is to be done with."""

    async def starts(self) -> Sequence[str | None]:
        """Return where walks over the keys of the source begin that may be made side by side."""
        return (None,)

    @abstractmethod
    async def count(self) -> int:
        """Return how many records the source holds, about."""

    async def do(self, batch: Batch[K]) -> Done:
        """Do a batch: the `Runner` of this process."""
        clock = _Clock()
        done = await (
            self._copy(batch.keys, clock, skip=batch.skip) if batch.work is Work.COPY else self._delete(batch.keys)
        )
        return replace(done, reading=clock.reading, writing=clock.writing, notes=self.notes)

    @abstractmethod
    async def _copy(self, keys: Sequence[K], clock: _Clock, *, skip: bool) -> Done:
        """Join what the source holds of some records into the target."""

    @abstractmethod
    async def _delete(self, keys: Sequence[K]) -> Done:
        """Join those deletions into the target that the source knows of some records."""


class ChatCopy(Copy[str]):
    """The way of sessions and messages."""

    kind: ClassVar[Kind] = Kind.CHAT
    at_once: ClassVar[int] = 200

    def __init__(self, source: ChatSide, target: ChatSide) -> None:
        super().__init__(source, target)
        self.source_atomic = True
        self._source = source
        self._target = target

    def keys(self, work: Work, cursor: str | None) -> AsyncIterator[KeyPage[str]]:
        return (self._source if work is Work.COPY else self._target).keys(cursor)

    async def starts(self) -> Sequence[str | None]:
        return await self._source.starts()

    async def count(self) -> int:
        count = await self._source.estimate()
        return count.sessions + count.messages

    async def _copy(self, keys: Sequence[str], clock: _Clock, *, skip: bool) -> Done:
        unchanged = await self._unchanged(keys) if skip else {}
        pages = batched(
            clock.read(self._source.fetch([key for key in keys if key not in unchanged])),
            _RECORDS_AT_ONCE,
            weight_of_chat,
        )
        seen: set[str] = set()
        copied, quarantined = Tally(), list[Quarantined]()
        async with aclosing(ahead(pages)) as parts:
            async for part in parts:
                with clock.writes():
                    refusals = await put_chat(self._target.put, part.changes)
                # A session may come in several parts.
                new = {change.session_id for change in part.changes if change.session is not None} - seen
                seen |= new
                quarantined += [*part.quarantined, *(refusal.entry for refusal in refusals)]
                copied += Tally(
                    sessions=len(new) - sum(refusal.header for refusal in refusals),
                    messages=sum(len(change.messages) for change in part.changes)
                    - sum(refusal.messages for refusal in refusals),
                )
        passed_over = Tally(sessions=len(unchanged), messages=sum(unchanged.values()))
        return Done(copied=copied, unchanged=passed_over, quarantined=tuple(quarantined))

    async def _unchanged(self, keys: Sequence[str]) -> Mapping[str, int]:
        fingerprints = await self._source.fingerprints(keys)
        return await self._target.proved(fingerprints) if fingerprints else {}

    async def _delete(self, keys: Sequence[str]) -> Done:
        # Without their messages: deletions of messages come with the sessions that are still there.
        known = [change async for page in self._source.fetch(keys, message_ids=()) for change in page.changes]
        refusals = await put_chat(self._target.put, [change for change in known if change.session is None])
        return Done(quarantined=tuple(refusal.entry for refusal in refusals))


class DocumentCopy(Copy[DocumentKey]):
    """The way of documents."""

    kind: ClassVar[Kind] = Kind.DOCUMENTS
    at_once: ClassVar[int] = 1250

    def __init__(self, source: DocumentSide, target: DocumentSide) -> None:
        super().__init__(source, target)
        self.source_atomic = source.atomic
        self._source = source
        self._target = target
        self._sides = Sides(source, target) if source.side is Side.OLD else Sides(target, source)

    def keys(self, work: Work, cursor: str | None) -> AsyncIterator[KeyPage[DocumentKey]]:
        return (self._source if work is Work.COPY else self._target).keys(cursor)

    async def count(self) -> int:
        return await self._source.estimate()

    async def _copy(self, keys: Sequence[DocumentKey], clock: _Clock, *, skip: bool) -> Done:
        if not skip or self._target.atomic:
            return await self._copy_all(keys, clock)
        lacking, passed = await self._lacking(keys, clock)
        return passed + await self._copy_all(lacking, clock) if lacking else passed

    async def _lacking(self, keys: Sequence[DocumentKey], clock: _Clock) -> tuple[Sequence[DocumentKey], Done]:
        """Return which of some documents the target lacks; and what is done with the others, which is nothing."""
        with clock.reads():
            page = await self._source.outlines(keys)
        lacking = await self._target.lacking(page.changes)
        unchanged = Tally(documents=len(page.changes) - len(lacking))
        return [change.key for change in lacking], Done(unchanged=unchanged, quarantined=page.quarantined)

    async def _copy_all(self, keys: Sequence[DocumentKey], clock: _Clock) -> Done:
        if not self._target.atomic:
            # They are read once more under the announcement, so not here; unless one is refused: which one?
            with suppress(InvalidRecordError, ConflictError), clock.writes():
                done = await put_announced(self._sides, self.source_side, keys, op="backfill")
                clock.reading += done.reading
                clock.writing -= done.reading
                return Done(copied=Tally(documents=done.put), quarantined=done.quarantined)
        with clock.reads():
            page = await self._source.changes(keys)
        with clock.writes():
            refused = await self._put(page.changes)
        return Done(copied=Tally(documents=len(page.changes) - len(refused)), quarantined=(*page.quarantined, *refused))

    async def _delete(self, keys: Sequence[DocumentKey]) -> Done:
        known = await self._source.changes(keys)
        return Done(quarantined=await self._put([change for change in known.changes if change.document is None]))

    async def _put(self, changes: Sequence[DocumentChange]) -> tuple[Quarantined, ...]:
        """Join changes into the target, and return what it refused."""
        unreadable: list[Quarantined] = []

        async def put(part: Sequence[DocumentChange]) -> None:
            if self._target.atomic:
                await self._target.put(part)
                return
            keys = [change.key for change in part]
            announced = await put_announced(self._sides, self.source_side, keys, op="backfill")
            unreadable.extend(announced.quarantined)

        entries = [refusal.entry for refusal in await put_documents(put, changes)]
        return (*entries, *unreadable)


class _Clock:
    """Measures how long a batch waits for each side."""

    def __init__(self) -> None:
        self.reading = 0.0
        self.writing = 0.0

    @contextmanager
    def reads(self) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.reading += time.perf_counter() - begun

    @contextmanager
    def writes(self) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.writing += time.perf_counter() - begun

    async def read(self, items: AsyncIterator[T]) -> AsyncGenerator[T, None]:
        async with closing(items):
            while True:
                with self.reads():
                    item = await anext(items, None)
                if item is None:
                    return
                yield item

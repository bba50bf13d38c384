"""What the router and the migrator need of a document store, besides what an app does."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Collection, Sequence

from chatstore.interfaces.documents import DocumentStore
from chatstore.interfaces.journal import Journal
from chatstore.models import (
    Document,
    DocumentChange,
    DocumentCommand,
    DocumentKey,
    DocumentsWritten,
    KeyPage,
    Mark,
    ScanPage,
    ServerLoad,
    Side,
)


class DocumentSide(DocumentStore):
    """A document store that can be one side of a migration: what the router and the migrator need of a backend.

    Attributes:
        side: Which side it is; decides the parity of the versions that it gives.
        journal: Where its marks are.
        atomic: Whether it compares versions and writes in one step. Where it does not, a late write could undo a
            newer one, so marks of writes to it carry a lease and are cleared only when they stand alone. And calls of
            one store object on one key take turns, so that a process need not tell its own marks apart.
        notes: What this side never stored or does not hold exactly, a sentence each: a migration tells it once. Some of
            it is known after the first call only.
        space: Which data of its server this side is, where that may hold other data of the kind (a layout, a prefix): a
            cursor of `keys` says nothing of others.
    """

    side: Side
    journal: Journal
    atomic: bool

    @property
    def notes(self) -> tuple[str, ...]:
        return ()

    @property
    def space(self) -> str:
        return ""

    @abstractmethod
    async def write(self, command: DocumentCommand, marks: Sequence[Mark] = ()) -> DocumentsWritten:
        """As `DocumentStore.write`, with a mark for each of the command's ids, in their order (or none).

        An atomic side sets each mark in the step that writes its document; another one sets them all before.
        """

    @abstractmethod
    async def changes(self, keys: Sequence[DocumentKey]) -> ScanPage[DocumentChange]:
        """Return all that this side knows of some documents: the documents or their deletions; nothing for others.

        A document that has expired is left out.
        """

    @abstractmethod
    async def put(self, changes: Sequence[DocumentChange]) -> None:
        """Join changes into this side: of each, the newer state stays. Idempotent; few round trips for many.

        Raises:
            InvalidRecordError, ConflictError: This side cannot hold one of them; then any number of the others were
                joined. Halve the batch to find it.
            UnavailableError: The server did not answer; any number of them were joined.
        """

    async def outlines(self, keys: Sequence[DocumentKey]) -> ScanPage[DocumentChange]:
        """Return what `changes` does, for `lacking`, not for a `put`; what it costs is no embedding, where a side can.

        All of a document but its key, its times, its expiry and its version may be left out. Then one that cannot be
        read because of what is left out is not quarantined.
        """
        return await self.changes(keys)

    async def lacking(self, changes: Sequence[DocumentChange]) -> Sequence[DocumentChange]:
        """Return those of some changes by which a `put` would change anything here; what it costs is no embedding.

        The changes may be outlines.
        """
        return changes

    async def finds(self, document: Document) -> bool:
        """Return whether an index gives a document as one of the first ten for its own embedding.

        False says nothing: a search tells. This is for a side whose index tells it for less.

        Raises:
            InvalidRecordError, UnavailableError: The index, or the server, does not answer.
        """
        del document
        return False

    async def held(self, keys: Collection[DocumentKey]) -> Collection[DocumentKey]:
        """Return which of some documents are there; what it costs is no embedding and no text, where a side can."""
        page = await self.changes(tuple(keys))
        return {change.key for change in page.changes if change.document is not None}

    async def held_by(self, user_id: str) -> AsyncIterator[Sequence[str]]:
        """Yield the ids of all documents that this side holds of a user, some at a time; see `ChatSide.held_by`."""
        after: str | None = None
        while True:
            page = await self.list_documents(user_id, limit=500, after=after)
            yield [document.id for document in page.items]
            if (after := page.next) is None:
                return

    @abstractmethod
    def keys(self, cursor: str | None = None) -> AsyncIterator[KeyPage[DocumentKey]]:
        """Yield the keys of all documents, in bounded memory; those that are deleted or have expired may be left out.

        A document that is there from the beginning to the end comes at least once; one may come twice.

        Args:
            cursor: Where to go on: the cursor of a page that was yielded before.
        """

    async def scan(self, cursor: str | None = None) -> AsyncIterator[ScanPage[DocumentChange]]:
        """Yield every document that exists, in bounded memory; deleted and expired ones are left out.

        It is `keys` and `changes` in one: what those say of what comes, and comes twice, holds here.

        Args:
            cursor: Where to go on: the cursor of a page that was yielded before.
        """
        async for found in self.keys(cursor):
            page = await self.changes(found.keys)
            there = tuple(change for change in page.changes if change.document is not None)
            yield ScanPage(there, (*found.quarantined, *page.quarantined), found.cursor)

    @abstractmethod
    async def count(self) -> int:
        """Return how many documents this side holds; those that expired and are not swept yet may count."""

    async def estimate(self) -> int:
        """Return about how many documents this side holds, without looking at each: what a progress bar needs."""
        return await self.count()

    async def expired(self) -> AsyncIterator[Sequence[DocumentKey]]:
        """Yield the documents that have expired and are still held, some at a time, for `remove_expired`.

        Where the server removes by itself what has expired, there are none.
        """
        none: tuple[Sequence[DocumentKey], ...] = ()
        for keys in none:
            yield keys

    async def remove_expired(self, keys: Sequence[DocumentKey]) -> int:
        """Remove those of some documents that have expired, and return how many were; the join still knows of them.

        Where this side is not atomic, whoever calls this has announced it with a mark on each key, as before a `put`.

        Raises:
            BusyError: Some are being written all the time; the others were removed.
            UnavailableError: The server did not answer; any number of them were removed.
        """
        del keys
        return 0

    async def load(self) -> ServerLoad | None:
        """Return how busy the server is now; None where that cannot be told.

        It costs the server next to nothing, so that it may be asked twice a second beside anything else.

        Raises:
            UnavailableError: The server did not answer.
        """
        return None

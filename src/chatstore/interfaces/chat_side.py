"""What the router and the migrator need of a chat store, besides what an app does."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence

from chatstore.interfaces.chat import ChatHistoryStore
from chatstore.interfaces.journal import Journal
from chatstore.models import (
    ChatChange,
    ChatCommand,
    ChatCount,
    ChatWritten,
    KeyPage,
    Mark,
    ScanPage,
    ServerLoad,
    Side,
    Swept,
)


class ChatSide(ChatHistoryStore):
    """A chat store that can be one side of a migration: what the router and the migrator need of a backend.

    Attributes:
        side: Which side it is; decides the parity of the versions that it gives.
        journal: Where its marks are.
        notes: What this side never stored or does not give back exactly, a sentence each: a migration tells it once.
        space: Which data of its server this side is, where that may hold other data of the kind (a layout, a prefix): a
            cursor of `keys` says nothing of others.
    """

    side: Side
    journal: Journal

    @property
    def notes(self) -> tuple[str, ...]:
        return ()

    @property
    def space(self) -> str:
        return ""

    @abstractmethod
    async def write(self, command: ChatCommand, mark: Mark | None = None) -> ChatWritten:
        """As `ChatHistoryStore.write`; when it changes anything, the mark is set in the same atomic step."""

    @abstractmethod
    async def put(self, changes: Sequence[ChatChange]) -> None:
        """Join changes into this side, as `ChatChange` defines it; one round trip for many.

        Each change is joined in one atomic step: a state that is newer here stays. Idempotent. Changes may be parts
        of one session.

        Raises:
            InvalidRecordError, ConflictError: This side cannot hold one of them; then any number of the others were
                joined. Halve the batch to find it.
            UnavailableError: The server did not answer; any number of them were joined.
        """

    @abstractmethod
    def fetch(
        self, session_ids: Sequence[str], *, message_ids: Sequence[str] | None = None
    ) -> AsyncIterator[ScanPage[ChatChange]]:
        """Yield all that this side knows of some sessions, whosever they are, in parts of bounded size.

        That is the header or the deletion, `cleared`, messages in their order, and tombstones, but nothing that has
        expired; a session that it knows nothing of yields nothing. Every part holds its session's header, so each can
        be joined on its own.

        Args:
            session_ids: Which sessions.
            message_ids: Only these messages and their tombstones (then of one session); all when None.
        """

    @abstractmethod
    def keys(self, cursor: str | None = None) -> AsyncIterator[KeyPage[str]]:
        """Yield the ids of all sessions, in bounded memory; those that are deleted or have expired may be left out.

        A session that is there from the beginning to the end comes at least once; one may come twice.

        Args:
            cursor: Where to go on: the cursor of a page that was yielded before.
        """

    def for_service(self) -> ChatSide:
        """Return this side with all rights that the service has, whoever the app may act for at its other calls."""
        return self

    async def held_by(self, user_id: str) -> AsyncIterator[Sequence[str]]:
        """Yield the ids of all sessions that this side holds of a user, some at a time.

        Also of those that have expired and are not removed yet, and of those that cannot be read, where a side holds
        such. A session that is there from the beginning to the end comes at least once; one may come twice.

        Args:
            user_id: Whose.
        """
        after: str | None = None
        while True:
            page = await self.list_sessions(user_id, limit=500, after=after)
            yield [session.id for session in page.items]
            if (after := page.next) is None:
                return

    async def starts(self) -> Sequence[str | None]:
        """Return cursors of `keys` at which walks may begin that together yield all sessions; None is the beginning.

        Each of them ends where another one's part begins, so they may run side by side: one on each primary of a Redis
        Cluster. Where there is no such thing there is one start, None.
        """
        return (None,)

    async def fingerprints(self, session_ids: Sequence[str]) -> Mapping[str, str]:
        """Return a fingerprint of each session: as long as it is the same, so is all that `fetch` yields of it.

        The server makes it of what it holds, so no content travels. It means nothing on another side. A session is left
        out when it is not there, or when no fingerprint of it can be told; and so are all, where the server makes none.
        """
        del session_ids
        return {}

    async def proved(self, fingerprints: Mapping[str, str]) -> Mapping[str, int]:
        """Return which sessions hold here what was put with these fingerprints, each with its number of messages.

        A side may remember, of each session that was put with its fingerprint, what it must then hold; it looks at what
        it holds now, record by record. For those that are not returned nothing is said: they may hold it all the same.

        Args:
            fingerprints: By session id, as the other side tells them now.
        """
        del fingerprints
        return {}

    async def scan(self, cursor: str | None = None) -> AsyncIterator[ScanPage[ChatChange]]:
        """Yield every session that exists, with its messages, in bounded memory; deleted and expired ones are left out.

        It is `keys` and `fetch` in one: what those say of what comes, and comes twice, holds here.

        Args:
            cursor: Where to go on: the cursor of a page that was yielded before.
        """
        async for found in self.keys(cursor):
            async for page in self.fetch(found.keys):
                there = tuple(change for change in page.changes if change.session is not None)
                yield ScanPage(there, page.quarantined, None)
            yield ScanPage((), found.quarantined, found.cursor)

    @abstractmethod
    async def count(self) -> ChatCount:
        """Return how many sessions and messages this side holds; those that expired and are not swept yet may count."""

    async def estimate(self) -> ChatCount:
        """Return about how many this side holds, without looking at each: what a progress bar needs."""
        return await self.count()

    async def sweep(self, *, limit: int = 10_000) -> Swept:
        """Remove what has expired, up to `limit` records; return what was removed.

        It may run beside anything else, and passes over what others are writing. The join goes on to know what it must:
        nothing that was swept comes back by a late `put`. Where the server removes by itself what has expired, there is
        nothing to sweep.

        Raises:
            UnavailableError: The server did not answer; the records may have been removed.
        """
        del limit
        return Swept()

    async def load(self) -> ServerLoad | None:
        """Return how busy the server is now; None where that cannot be told.

        It costs the server next to nothing, so that it may be asked twice a second beside anything else.

        Raises:
            UnavailableError: The server did not answer.
        """
        return None

"""Many documents by their ids: of one user, or whosever they are; in round trips that no server is slow to answer."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import suppress

from chatstore.errors import LayoutError
from chatstore.models import DocumentChange, DocumentKey, Quarantined, ScanPage
from chatstore.redis.client import Client
from chatstore.redis.document_calls import DocumentCalls
from chatstore.redis.document_peek import peek_all
from chatstore.redis.failures import printable, quarantined
from chatstore.redis.scripts import Call, Reply, run, run_all

_BATCH = 200
_ROOM = 131_072
"""How many bytes a document may have that is read with others. A larger one is read alone: so no answer takes too long,
and what is read bit by bit needs bounded memory."""

logger = logging.getLogger(__name__)


class DocumentStates:
    """Reads documents or their deletions by their ids.

    Many are read in one round trip, but large ones alone. What a merge and the migrator cannot read is quarantined.

    Args:
        client: The connection.
        calls: Of the layout.
    """

    def __init__(self, client: Client, calls: DocumentCalls) -> None:
        self._client = client
        self._calls = calls
        self._passed_over = False

    async def replies(self, user_id: str, ids: Sequence[bytes]) -> list[Reply]:
        """Return the replies to `read` for a user's documents, whole, in the order of the ids."""
        replies: list[Reply] = []
        for start in range(0, len(ids), _BATCH):
            part = ids[start : start + _BATCH]
            replies += await run_all(self._client, [self._calls.read(name, user_id, room=_ROOM) for name in part])
        for place, name in enumerate(ids):
            if replies[place][0] == b"large":
                replies[place] = await run(self._client, self._calls.read(name, user_id))
        return replies

    async def of_keys(self, keys: Sequence[DocumentKey]) -> ScanPage[DocumentChange]:
        """Return what `DocumentSide.changes` does."""
        page = await self.of([key.id.encode() for key in keys])
        wanted = set(keys)
        return ScanPage(tuple(c for c in page.changes if c.key in wanted), page.quarantined, None)

    async def outlines(self, keys: Sequence[DocumentKey]) -> ScanPage[DocumentChange]:
        """Return what `DocumentSide.outlines` does."""
        wanted, names = set(keys), [key.id.encode() for key in keys]
        replies = await run_all(self._client, [self._calls.outline(name, room=_ROOM) for name in names])
        # What is large here is unreadable.
        large = [name for name, reply in zip(names, replies, strict=True) if reply[0] == b"large"]
        page = self._page(
            [(name, reply) for name, reply in zip(names, replies, strict=True) if reply[0] != b"large"], whole=False
        )
        found = await self.of(large)
        changes = (change for change in (*page.changes, *found.changes) if change.key in wanted)
        return ScanPage(tuple(changes), (*page.quarantined, *found.quarantined), None)

    async def held(self, keys: Collection[DocumentKey]) -> Collection[DocumentKey]:
        """Return what `DocumentSide.held` does."""
        names, found = [key.id.encode() for key in keys], set[DocumentKey]()
        for start in range(0, len(names), _BATCH):
            part = names[start : start + _BATCH]
            replies = await peek_all(self._client, self._calls, part, sized=False)
            for name, reply in zip(part, replies, strict=True):
                # What cannot be told is not said to be held: whoever reads it hears why.
                with suppress(LayoutError):
                    told = None if reply[0] == b"other" else self._calls.reply(reply, name)
                    if told is not None and told.updated is not None:
                        found.add(self._calls.key(told, name))
        return found.intersection(keys)

    async def of(self, ids: Sequence[bytes], *, adopt: bool = True) -> ScanPage[DocumentChange]:
        """Return all that is known of some documents by their ids, whosever they are.

        Args:
            ids: Which.
            adopt: Whether what another program did is written down in the ledger on the way.
        """
        pages = [page async for page in self._read(ids, adopt=adopt)]
        return ScanPage(
            tuple(change for page in pages for change in page.changes),
            tuple(bad for page in pages for bad in page.quarantined),
            None,
        )

    async def _read(self, ids: Sequence[bytes], *, adopt: bool = True) -> AsyncIterator[ScanPage[DocumentChange]]:
        """Yield what is known of some documents: the large ones each in a page of its own, behind the others."""

        def call(name: bytes, room: int) -> Call:
            return self._calls.adopt(name, room=room) if adopt else self._calls.read(name, None, room=room)

        replies = await run_all(self._client, [call(name, _ROOM) for name in ids])
        read = list(zip(ids, replies, strict=True))
        yield self._page([(name, reply) for name, reply in read if reply[0] != b"large"])
        for name in [name for name, reply in read if reply[0] == b"large"]:
            yield self._page([(name, await run(self._client, call(name, 0)))])

    def _page(self, replies: Sequence[tuple[bytes, Reply]], *, whole: bool = True) -> ScanPage[DocumentChange]:
        changes: list[DocumentChange] = []
        bad: list[Quarantined] = []
        for name, reply in replies:
            if reply[0] == b"other":
                self.pass_over(reply)
                continue
            try:
                found = self._calls.reply(reply, name)
                if found is not None:
                    changes.append(self._calls.change(found, name, whole=whole))
            except LayoutError as error:
                bad.append(quarantined(error))
        return ScanPage(tuple(changes), tuple(bad), None)

    def pass_over(self, reply: Reply) -> None:
        """Say once that there are records which are no documents of the layout."""
        if not self._passed_over:
            self._passed_over = True
            logger.warning(
                "some keys are no documents of the layout %s, and are passed over. The first is %r: %s",
                self._calls.layout.name,
                reply[1],
                printable(reply[2]),
            )

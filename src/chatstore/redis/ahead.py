"""Writes to a cluster, where a mark and an index lie in other slots than the record, and no one step writes them all.

A record and its ledger lie in one slot and are written in one step, on a cluster as on a server. Its mark goes before:
it is made first, with a lease, and taken back where the write came to nothing. While the lease lasts nobody clears it,
and behind its end the write's script refuses to do anything, so no write comes that is not marked. The decision on
clusters (`docs/decisions`) says why that is enough.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from chatstore.errors import ChatStoreError, ConflictError, LayoutError, NotFoundError, UnavailableError
from chatstore.models import Mark, to_micros, utc_now
from chatstore.redis.index import Owned, UserIndex
from chatstore.redis.journal import RedisJournal
from chatstore.redis.scripts import Call, Reply, guarded

LEASE = timedelta(seconds=20)
"""How long a mark that precedes its write is kept for it."""

_DONE_WITHIN = timedelta(seconds=10)
"""Within what time of its mark a write is done or never. The rest of the lease is for clocks that disagree."""

logger = logging.getLogger(__name__)


class Deadline:
    """Until when a write may be done, by the clock of the node that does it.

    Attributes:
        at: The time, in microseconds.
    """

    def __init__(self) -> None:
        self.at = to_micros(utc_now() + _DONE_WITHIN)

    def on(self, call: Call) -> Call:
        """Return a call that does nothing when it is run after the deadline."""
        return Call(guarded(call.script), call.keys, [self.at, *call.arguments])


class Ahead:
    """Makes marks, and notes in the index, ahead of writes.

    Args:
        journal: Where the marks go.
        index: The index of each user's records.
    """

    def __init__(self, journal: RedisJournal, index: UserIndex) -> None:
        self._journal = journal
        self._index = index

    async def write(
        self,
        marks: Sequence[Mark],
        new: Sequence[Owned],
        execute: Callable[[Deadline], Awaitable[Sequence[Reply]]],
        places: Callable[[Sequence[Reply]], Sequence[Owned]],
    ) -> Sequence[Reply]:
        """Make marks, write, and end what was announced; return what the scripts replied.

        A mark of a write to one side only is made whether the journal is open or not, as it may be opened before the
        write; behind the write it is taken back if it is not open. The others are then as they were given.

        Args:
            marks: One for each script, or none at all.
            new: What is about to be there, for the index.
            execute: Runs the scripts.
            places: Finds in the replies where the records stand in the index.

        Raises:
            UnavailableError: A node did not answer; or it was asked too late, and did not do it.
        """
        deadline, until = Deadline(), utc_now() + LEASE
        leased = [mark if mark.is_leased(until) else replace(mark, lease_until=until) for mark in marks]
        await self._journal.announce(leased)
        await self._index.note(new)
        try:
            replies = await execute(deadline)
        except (NotFoundError, ConflictError, LayoutError):
            # What these say was found before anything was written.
            await self._end(self._journal.clear(marks))
            raise
        done = {mark.token: reply[0] == b"changed" for mark, reply in zip(marks, replies, strict=bool(marks))}
        await self._end(self._journal.clear([mark for mark in marks if not done[mark.token]]))
        await self._end(self._journal.settle([m for m in marks if done[m.token] and (m.while_open or m not in leased)]))
        moved = set(places(replies)) - set(new)
        await self._end(self._index.note(sorted(moved, key=lambda owned: owned.place.id)))
        if any(reply[0] == b"late" for reply in replies):
            raise UnavailableError(
                f"a node of the Redis Cluster was asked to write more than {_DONE_WITHIN.seconds} s after that began, "
                f"and did not do it: the nodes are slow, or their clocks and this machine's disagree"
            )
        return replies

    async def _end(self, work: Awaitable[None]) -> None:
        """Do what is to be done after a write; what is left undone, the lease's end or a reader of the index does."""
        try:
            await work
        except ChatStoreError as error:
            logger.warning("what announced a write is still there, and will be for a while: %s", error)

"""Copying documents to a side that cannot compare versions and write in one step, without undoing others' writes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from chatstore.errors import BusyError, ConflictError, InvalidRecordError, UnavailableError
from chatstore.interfaces import DocumentSide
from chatstore.models import DocumentKey, Mark, Quarantined, Side
from chatstore.routing import Sides, announcements, settle, withdraw

# Half of an announcement's lease, because a put that was given up may go on in the server for a while.
DEADLINE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Announced:
    """What became of some documents.

    Attributes:
        put: How many of them the source holds: these are on the other side now, or something newer is.
        quarantined: What the source could not read.
        reading: Seconds that were spent waiting for the source.
    """

    put: int
    quarantined: tuple[Quarantined, ...]
    reading: float


async def put_announced(sides: Sides[DocumentSide], source: Side, keys: Sequence[DocumentKey], *, op: str) -> Announced:
    """Bring the source's current state of some documents to the other side, which is not atomic.

    Such a put reads and then writes, so it could put an old state over one that another writer brings at the same
    moment. Both announce themselves by a mark before and look for other marks after, so at least one sees the other
    and leaves its mark; then the repairer merges the key again. The state is read after the announcement: a change
    before it is read, and whoever makes one after it meets the mark.

    Args:
        sides: Both sides.
        source: Which of them is read.
        keys: Which documents; those that the source knows nothing of are passed over.
        op: What the marks say: `backfill` or `repair`.

    Raises:
        InvalidRecordError, ConflictError: The target cannot hold one of them; halve the keys to find it.
        UnavailableError: A server did not answer in time. The marks stay, for the put may still happen.
    """
    keys = tuple(dict.fromkeys(keys))
    marks = announcements(keys, source, op)
    await sides[source].journal.add(marks)
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            begun = time.perf_counter()
            page = await sides[source].changes(keys)
            reading = time.perf_counter() - begun
            await sides[source.other].put(page.changes)
    except TimeoutError as error:
        raise UnavailableError(f"{len(keys)} documents were not written in {DEADLINE_SECONDS:.0f} s") from error
    except (InvalidRecordError, ConflictError):
        await _withdraw_once(sides, await settle(sides, marks, exclusive=True))
        raise
    except BusyError:
        # Nothing of this is on its way any more, so nobody need wait for it.
        await withdraw(sides, marks)
        raise
    await withdraw(sides, await settle(sides, marks, exclusive=True))
    return Announced(sum(change.document is not None for change in page.changes), page.quarantined, reading)


async def _withdraw_once(sides: Sides[DocumentSide], announced: Sequence[Mark]) -> None:
    """Withdraw announcements, each by the mark that stands on its key already, if there is one that does for it.

    A document that is refused comes here at each attempt, and no repair clears its marks: they would become ever more.
    A mark without a lease does where no leased one stands: whoever merges its key begins after this, and so reads what
    this work left behind.
    """
    superfluous: list[Mark] = []
    own = {mark.token for mark in announced}
    for user in {mark.user_id for mark in announced}:
        mine = [mark for mark in announced if mark.user_id == user]
        found = [
            mark
            for side in Side
            for mark in await sides[side].journal.marks_of(user, [mark.key for mark in mine])
            if mark.token not in own
        ]
        at_work = {mark.key for mark in found if mark.lease_until is not None}
        waiting = {mark.key for mark in found} - at_work
        superfluous += [mark for mark in mine if mark.key in waiting]
    for side in Side:
        if done := [mark for mark in superfluous if mark.side is side]:
            await sides[side].journal.clear(done)
    tokens = {mark.token for mark in superfluous}
    await withdraw(sides, [mark for mark in announced if mark.token not in tokens])

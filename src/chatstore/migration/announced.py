"""Copying documents to a side that cannot compare versions and write in one step, without undoing others' writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from chatstore.errors import ConflictError, InvalidRecordError, UnavailableError
from chatstore.interfaces import DocumentSide
from chatstore.models import DocumentKey, Mark, Quarantined, utc_now

LEASE = timedelta(seconds=60)
# Half of the lease, because a put that was given up may go on in the server for a while.
DEADLINE_SECONDS = 30.0


async def put_announced(
    source: DocumentSide, target: DocumentSide, keys: Sequence[DocumentKey], *, op: str
) -> tuple[Quarantined, ...]:
    """Bring the source's current state of some documents to a target that is not atomic.

    Such a put reads and then writes, so it could put an old state over one that another writer brings at the same
    moment. Both announce themselves by a mark before and look for other marks after, so at least one sees the other
    and leaves its mark; then the repairer merges the key again. The state is read after the announcement: a change
    before it is read, and whoever makes one after it meets the mark.

    Args:
        source: The side that is read.
        target: The side that is written.
        keys: Which documents; those that the source knows nothing of are passed over.
        op: What the marks say: `backfill` or `repair`.

    Returns:
        What the source could not read.

    Raises:
        InvalidRecordError, ConflictError: The target cannot hold one of them; halve the keys to find it.
        UnavailableError: A server did not answer in time. The marks stay, for the put may still happen.
    """
    try:
        async with _announced(source, target, tuple(dict.fromkeys(keys)), op), asyncio.timeout(DEADLINE_SECONDS):
            page = await source.changes(keys)
            await target.put(page.changes)
    except TimeoutError as error:
        raise UnavailableError(f"{len(keys)} documents were not written in {DEADLINE_SECONDS:.0f} s") from error
    return page.quarantined


@asynccontextmanager
async def _announced(
    source: DocumentSide, target: DocumentSide, keys: Sequence[DocumentKey], op: str
) -> AsyncGenerator[None, None]:
    # In both journals, because a write that goes to the target first looks for other marks in the target's only.
    until = utc_now() + LEASE
    marks = {
        side.side: [Mark(key=key.id, user_id=key.user_id, side=side.side, op=op, lease_until=until) for key in keys]
        for side in (source, target)
    }

    async def withdraw() -> None:
        # What is left stands beside another's mark, and is the repairer's from now on.
        await asyncio.gather(*(side.journal.clear_alone(marks[side.side]) for side in (source, target)))

    await asyncio.gather(*(side.journal.add(marks[side.side]) for side in (source, target)))
    try:
        yield
    except (InvalidRecordError, ConflictError):
        # The put has ended, so nothing of it can come late.
        await withdraw()
        raise
    await withdraw()

"""Forgetting a user: deletes all that the sides hold of one, whatever the stage and whoever writes beside it.

Each side is asked for all that it holds, and deletes that by the command that an app's own deletion is, with its mark;
then what is marked is merged, so that each side knows of the other's deletions. There is no protocol here that an app's
deletion does not have, so what is said of that holds of this: whatever brings an older state late, a backfill or
another process, finds the deletion there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from chatstore.errors import BusyError, ChatStoreError
from chatstore.interfaces import ChatSide, DocumentSide
from chatstore.models import Forgotten, Mark, Side
from chatstore.routing.belongings import Belongings, Deleted, Documents, Sessions
from chatstore.routing.groups import AWAY
from chatstore.routing.repair import Repairer
from chatstore.routing.sides import S, Sides
from chatstore.routing.standing import still_standing
from chatstore.routing.traces import Traces

PATIENCE = 120.0
"""How long others may be at work on the user's records, in seconds: two leases of whoever died in the middle."""

_PAUSE = 0.2
_MARKED = "what is deleted already is marked, so that a repair deletes it on the other side, too"


async def forget_chat(
    user_id: str, stores: Mapping[Side, ChatSide], *, traces: Traces | None = None, dry_run: bool = False
) -> Forgotten:
    """Delete all sessions of a user, with their messages, on all sides that there are.

    What was acknowledged before the call began is gone on every side when it returns. What is written beside it is gone
    or stays, a session as a whole; what is written after it stays. Calling it again finishes what was interrupted.

    Args:
        user_id: Whose.
        stores: The sides that there are. The new one must be asked with the secret key, and not with the user's token.
        traces: The user's entries in the quarantine, to be taken out.
        dry_run: Only count.

    Raises:
        UnavailableError: A side did not answer. What the other one holds is deleted all the same, and marked.
        BusyError: Others were at work on the user's records all the time. They are deleted, and still marked.
    """
    return await _forget(Sessions(user_id, stores), traces, dry_run=dry_run)


async def forget_documents(
    user_id: str, stores: Mapping[Side, DocumentSide], *, traces: Traces | None = None, dry_run: bool = False
) -> Forgotten:
    """Delete all documents of a user on all sides that there are; see `forget_chat`."""
    return await _forget(Documents(user_id, stores), traces, dry_run=dry_run)


async def _forget(mine: Belongings[S], traces: Traces | None, *, dry_run: bool) -> Forgotten:
    failures: dict[Side, ChatStoreError] = {}
    held: dict[Side, list[str]] = {}
    for side in mine.stores:
        with _noted(failures, side):
            held[side] = await mine.held(side)
    if dry_run:
        _raise(failures, mine, "nothing was deleted")
        return Forgotten(records={side: len(ids) for side, ids in held.items()})
    ids = {name for names in held.values() for name in names}
    quarantined = await _remove(traces, ids, failures)
    deleted: dict[Side, Deleted] = {}
    for side, names in held.items():
        with _noted(failures, side):
            deleted[side] = await _persistently(mine, side, names)
    _raise(failures, mine, _MARKED)
    try:
        refused = sum([await mine.bury(side, done.unseen) for side, done in deleted.items() if done.unseen])
        if (sides := mine.sides) is not None:
            refused += await _merge(mine, sides)
    except AWAY as error:
        raise _unfinished(error, mine, "all of the user is deleted where it was found", _MARKED) from error
    # A backfill that was at work meanwhile may have met a bad record once more.
    quarantined += await _remove(traces, ids, failures)
    _raise(failures, mine, "the records themselves are deleted on both sides")
    return Forgotten(
        records={side: len(names) for side, names in held.items()},
        quarantined=quarantined,
        unreadable=sum(len(done.unreadable) for done in deleted.values()),
        refused=refused,
    )


async def _persistently(mine: Belongings[S], side: Side, ids: Sequence[str]) -> Deleted:
    """Delete records of a side; who is just bringing some of them there is waited for."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return await mine.delete(side, ids)
        except BusyError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(_PAUSE)


async def _merge(mine: Belongings[S], sides: Sides[S]) -> int:
    """Merge all that is marked of the user by now; return how many keys a side refuses.

    Raises:
        BusyError: Others were at work on some all the time.
    """
    marks: Sequence[Mark] = [mark for side in Side for mark in await sides[side].journal.marks_of(mine.user_id)]
    repairer: Repairer[S] = mine.repairer(sides)
    end = time.monotonic() + PATIENCE
    while marks:
        report = await repairer.run(marks)
        marks = await still_standing(sides, marks)
        if marks and not report.left and report.quarantined:
            return report.quarantined
        if marks and time.monotonic() > end:
            raise BusyError(f"others are at work on {len(marks)} marked records of the user")
        if marks and not report.merged:
            await asyncio.sleep(_PAUSE)
    return 0


async def _remove(traces: Traces | None, ids: set[str], failures: dict[Side, ChatStoreError]) -> int:
    if traces is not None and Side.OLD not in failures:
        # The quarantine lies beside the old side.
        with _noted(failures, Side.OLD):
            return await traces.remove(ids)
    return 0


@contextmanager
def _noted(failures: dict[Side, ChatStoreError], side: Side) -> Iterator[None]:
    """Note that a side is away, so that the other one is dealt with all the same."""
    try:
        yield
    except AWAY as error:
        failures.setdefault(side, error)


def _raise(failures: Mapping[Side, ChatStoreError], mine: Belongings[S], how_it_stands: str) -> None:
    for side, error in failures.items():
        raise _unfinished(error, mine, f"the {side} side is not done", how_it_stands) from error


def _unfinished(error: ChatStoreError, mine: Belongings[S], why: str, how_it_stands: str) -> ChatStoreError:
    """Return what to raise: an error of the same type, with how far the user is forgotten."""
    return type(error)(
        f"the user's {mine.kind} is not forgotten yet, {why}: {error}. Forget the user again; {how_it_stands}"
    )

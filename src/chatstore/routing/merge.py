"""The merge: bring keys to the same state on both sides.

Both sides are joined into each other (see `ChatChange`), so a merge can be repeated, interrupted, and run beside writes
and other merges. Merging every marked key is a repair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from chatstore.interfaces import ChatSide, DocumentSide
from chatstore.models import DocumentKey, Mark, Quarantined, Side, new_token, utc_now
from chatstore.routing.put import put_each
from chatstore.routing.settle import settle
from chatstore.routing.sides import Sides

ANNOUNCEMENT = timedelta(seconds=60)
"""For how long a merge's own marks keep others from clearing theirs; longer than any merge of a batch takes."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge of some marks came to.

    Attributes:
        cleared: The marks that are gone now.
        left: The marks that stay, because someone else is at work on their keys.
        quarantined: What one side holds and the other can't take, or can't be read. The keys' marks stay, too.
    """

    cleared: tuple[Mark, ...] = ()
    left: tuple[Mark, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()


async def merge_chat(sides: Sides[ChatSide], marks: Sequence[Mark]) -> Merged:
    """Merge what marks of one session concern, and clear them.

    Raises:
        UnavailableError: A side did not answer; the marks stay.
    """
    ids = _concerned(marks)
    quarantined: list[Quarantined] = []
    for source, target in ((sides.old, sides.new), (sides.new, sides.old)):
        async for page in source.fetch([marks[0].key], message_ids=ids):
            quarantined += page.quarantined
            quarantined += await put_each(target.put, target.side, page.changes)
    if quarantined:
        return Merged(left=tuple(marks), quarantined=tuple(quarantined))
    await settle(sides, marks, exclusive=False)
    return Merged(cleared=tuple(marks))


async def merge_documents(sides: Sides[DocumentSide], marks: Sequence[Mark]) -> Merged:
    """Merge the documents that marks concern, and clear the marks.

    Where a side compares and writes in two steps, the merge is announced on each key before and looks for others after;
    the marks of keys on which somebody else was at work stay, and so does the announcement, for another merge.

    Raises:
        UnavailableError: A side did not answer; the marks stay.
    """
    keys = [DocumentKey(user_id, name) for user_id, name in dict.fromkeys((m.user_id, m.key) for m in marks)]
    if sides.old.atomic and sides.new.atomic:
        quarantined = await _join_documents(sides, keys)
        return await _cleared(sides, marks, (), quarantined)
    own = announcements(keys, marks[0].side)
    await sides[marks[0].side].journal.add(own)
    known = await _all_marks(sides, keys, marks)
    quarantined = await _join_documents(sides, keys)
    return await _cleared(sides, known, own, quarantined)


async def _cleared(
    sides: Sides[DocumentSide], marks: Sequence[Mark], own: Sequence[Mark], quarantined: Sequence[Quarantined]
) -> Merged:
    """Clear the marks of merged keys and our own, but for keys on which somebody else may still be at work."""
    stuck = {record.key for record in quarantined}
    now = utc_now()
    busy = {(mark.user_id, mark.key) for mark in marks if mark.lease_until is not None and mark.lease_until > now}
    ripe = [mark for mark in (*marks, *own) if mark.key not in stuck and (mark.user_id, mark.key) not in busy]
    left = {mark.token for mark in await settle(sides, ripe, exclusive=bool(own))}
    gone = {mark.token for mark in ripe} - left
    return Merged(
        cleared=tuple(mark for mark in marks if mark.token in gone),
        left=tuple(mark for mark in marks if mark.token not in gone),
        quarantined=tuple(quarantined),
    )


async def _all_marks(sides: Sides[DocumentSide], keys: Sequence[DocumentKey], marks: Sequence[Mark]) -> list[Mark]:
    """Return `marks` with those on the same keys in the other journal: what both journals mark is merged as one."""
    known = {mark.token: mark for mark in marks}
    by_user: dict[str, list[str]] = {}
    for key in keys:
        by_user.setdefault(key.user_id, []).append(key.id)
    for side in Side:
        journal = sides[side].journal
        if all(mark.side is side for mark in marks) or not (await journal.backlog()).marks:
            continue
        for user, names in by_user.items():
            known.update({mark.token: mark for mark in await journal.marks_of(user, names)})
    return list(known.values())


def announcements(keys: Sequence[DocumentKey], side: Side, op: str = "repair") -> list[Mark]:
    """Return the marks by which someone who is about to write to `keys` tells the others."""
    now = utc_now()
    return [
        Mark(
            token=new_token(), key=key.id, user_id=key.user_id, side=side, op=op, at=now, lease_until=now + ANNOUNCEMENT
        )
        for key in keys
    ]


async def _join_documents(sides: Sides[DocumentSide], keys: Sequence[DocumentKey]) -> list[Quarantined]:
    quarantined: list[Quarantined] = []
    for source, target in ((sides.old, sides.new), (sides.new, sides.old)):
        page = await source.changes(keys)
        quarantined += page.quarantined
        quarantined += await put_each(target.put, target.side, page.changes)
    return quarantined


def _concerned(marks: Sequence[Mark]) -> list[str] | None:
    """Return which messages some marks of a session concern; None for any of them."""
    ids: dict[str, None] = {}
    for mark in marks:
        if mark.message_ids is None:
            return None
        ids.update(dict.fromkeys(mark.message_ids))
    return list(ids)

"""The merge: bring keys to the same state on both sides.

Both sides are joined into each other (see `ChatChange`), so a merge can be repeated, interrupted, and run beside writes
and other merges. Merging every marked key is a repair.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from chatstore.errors import BusyError
from chatstore.interfaces import ChatSide, DocumentSide
from chatstore.models import DocumentChange, DocumentKey, Mark, Quarantined, Side, new_token, utc_now
from chatstore.routing.refusals import put_chat, put_documents
from chatstore.routing.settle import settle, withdraw
from chatstore.routing.sides import Sides

ANNOUNCEMENT = timedelta(seconds=60)
"""For how long a merge's own marks keep others from clearing theirs; longer than any merge of a batch takes."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge of some marks came to.

    Attributes:
        cleared: The marks that are gone now.
        left: The marks that stay, because someone else is at work on their keys.
        stuck: The marks that stay, because one side can't be read there, or can't take what the other holds.
        quarantined: What that is.
    """

    cleared: tuple[Mark, ...] = ()
    left: tuple[Mark, ...] = ()
    stuck: tuple[Mark, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()


async def merge_chat(sides: Sides[ChatSide], marks: Sequence[Mark]) -> Merged:
    """Merge what marks of one session concern, and clear them, but for those whose write may still be on its way.

    Raises:
        UnavailableError: A side did not answer; the marks stay.
    """
    ids = _concerned(marks)
    # Asked before the merge: a write whose mark precedes it may come until then.
    busy = {mark.token for mark in marks if mark.is_leased(utc_now())}
    quarantined: list[Quarantined] = []
    for source, target in ((sides.old, sides.new), (sides.new, sides.old)):
        async for page in source.fetch([marks[0].key], message_ids=ids):
            quarantined += page.quarantined
            quarantined += [refusal.entry for refusal in await put_chat(target.put, page.changes)]
    if quarantined:
        return Merged(stuck=tuple(marks), quarantined=tuple(quarantined))
    ripe = [mark for mark in marks if mark.token not in busy]
    await settle(sides, ripe, exclusive=False)
    return Merged(cleared=tuple(ripe), left=tuple(mark for mark in marks if mark.token in busy))


async def merge_documents(sides: Sides[DocumentSide], marks: Sequence[Mark]) -> Merged:
    """Merge the documents that marks concern, and clear the marks.

    Where a side compares and writes in two steps, the merge is announced on each key before and looks for others after;
    the marks of keys on which somebody else was at work stay, and one of ours with them, for another merge.

    Raises:
        UnavailableError: A side did not answer; the marks stay.
    """
    keys = list(dict.fromkeys(_key(mark) for mark in marks))
    if sides.old.atomic and sides.new.atomic:
        bad = await _join_documents(sides, marks[0].side, keys)
        return await _cleared(sides, marks, (), bad, _leased(marks))
    own = announcements(keys, marks[0].side)
    await sides[marks[0].side].journal.add(own)
    known = await _all_marks(sides, keys, marks)
    # Asked before the join: one whose lease ends during it may have written beside it until then.
    busy = _leased(known)
    # A side that is not atomic would have a join wait for its writers.
    written = _leased([mark for mark in known if not sides[mark.side].atomic])
    try:
        bad = await _join_documents(sides, marks[0].side, keys, written=written)
    except BusyError:
        await withdraw(sides, own)
        return Merged(left=tuple(marks))
    return await _cleared(sides, known, own, bad, busy)


async def _cleared(
    sides: Sides[DocumentSide],
    marks: Sequence[Mark],
    own: Sequence[Mark],
    bad: Mapping[DocumentKey, Sequence[Quarantined]],
    busy: Collection[DocumentKey],
) -> Merged:
    """Clear the marks of merged keys and our own, but for `busy` keys: somebody else may be at work on them."""
    merged = [mark for mark in marks if _key(mark) not in busy and _key(mark) not in bad]
    ripe = [*merged, *(mark for mark in own if _key(mark) not in busy and _key(mark) not in bad)]
    left = {mark.token for mark in await settle(sides, ripe, exclusive=bool(own))}
    # On a bad key nothing was written, so nobody need be told. On the others, somebody may have written beside us.
    if idle := [mark for mark in own if _key(mark) in bad]:
        await sides[idle[0].side].journal.clear(idle)
    await withdraw(sides, [m for m in own if _key(m) not in bad and (m.token in left or _key(m) in busy)])
    cleared = {mark.token for mark in merged} - left
    return Merged(
        cleared=tuple(mark for mark in marks if mark.token in cleared),
        left=tuple(mark for mark in marks if mark.token not in cleared and _key(mark) not in bad),
        stuck=tuple(mark for mark in marks if _key(mark) in bad),
        quarantined=tuple(record for records in bad.values() for record in records),
    )


async def _all_marks(sides: Sides[DocumentSide], keys: Sequence[DocumentKey], marks: Sequence[Mark]) -> list[Mark]:
    """Return `marks` with those on the same keys in the other journal: what both journals mark is merged as one."""
    known = {mark.token: mark for mark in marks}
    by_user: dict[str, list[str]] = {}
    for key in keys:
        by_user.setdefault(key.user_id, []).append(key.id)
    for side in Side:
        journal = sides[side].journal
        if all(mark.side is side for mark in marks):
            continue
        for user, names in by_user.items():
            known.update({mark.token: mark for mark in await journal.marks_of(user, names)})
    return list(known.values())


def announcements(keys: Sequence[DocumentKey], side: Side, op: str = "repair") -> list[Mark]:
    """Return the marks by which who is about to write to `keys` of a side tells the others; `op` says for what."""
    now = utc_now()
    return [
        Mark(
            token=new_token(), key=key.id, user_id=key.user_id, side=side, op=op, at=now, lease_until=now + ANNOUNCEMENT
        )
        for key in keys
    ]


async def _join_documents(
    sides: Sides[DocumentSide], side: Side, keys: Sequence[DocumentKey], *, written: Collection[DocumentKey] = ()
) -> Mapping[DocumentKey, Sequence[Quarantined]]:
    """Join documents; return for each key that can't be joined what is wrong with it.

    First what `side` has into the other one, which is what its marks ask for and what a read after a flip waits for.
    The other way, `written` are left out: their marks stay anyway, and `side` would have us wait for their writers.
    """
    pages = {Side.OLD: await sides.old.changes(keys), Side.NEW: await sides.new.changes(keys)}
    records = [record for page in pages.values() for record in page.quarantined]
    for source in (side, side.other):
        news = _unknown(pages[source].changes, pages[source.other].changes)
        if source is not side:
            news = [change for change in news if change.key not in written]
        if not sides[source.other].atomic:
            news += [change for change in _deletions(pages[source.other].changes) if change.key not in written]
        records += [refusal.entry for refusal in await put_documents(sides[source.other].put, news)]
    if not records:
        return {}
    if len(keys) == 1:
        return {keys[0]: records}
    # A side names a record that it can't read in its own way: which key that is shows when the key stands alone.
    middle = len(keys) // 2
    first = await _join_documents(sides, side, keys[:middle], written=written)
    return {**first, **await _join_documents(sides, side, keys[middle:], written=written)}


def _leased(marks: Sequence[Mark]) -> set[DocumentKey]:
    """Return the keys on which somebody may be at work."""
    now = utc_now()
    return {_key(mark) for mark in marks if mark.is_leased(now)}


def _unknown(found: Sequence[DocumentChange], there: Sequence[DocumentChange]) -> list[DocumentChange]:
    """Return what was found on one side and would change the other."""
    held = {change.key: (change.version, change.deleted) for change in there}
    return [
        change
        for change in found
        if change.version > held.get(change.key, (-1, 0))[0] or change.deleted > held.get(change.key, (-1, 0))[1]
    ]


def _deletions(changes: Sequence[DocumentChange]) -> list[DocumentChange]:
    """Return the deletions: a side that is not atomic may have kept one and not removed the document yet.

    Joined into it again, each is finished. Whoever began it may have died.
    """
    return [change for change in changes if change.document is None]


def _key(mark: Mark) -> DocumentKey:
    return DocumentKey(mark.user_id, mark.key)


def _concerned(marks: Sequence[Mark]) -> list[str] | None:
    """Return which messages some marks of a session concern; None for any of them."""
    ids: dict[str, None] = {}
    for mark in marks:
        if mark.message_ids is None:
            return None
        ids.update(dict.fromkeys(mark.message_ids))
    return list(ids)

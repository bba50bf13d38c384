"""Joining the other side's states into this one, with the two steps that Chroma needs for it: look, then write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chatstore.chroma.holdings import Held, Holdings, is_dead
from chatstore.chroma.metadata import is_expired, version_of
from chatstore.models import Document, DocumentChange, DocumentKey, has_expired


@dataclass(frozen=True, slots=True)
class Steps:
    """What a join has to do here.

    Attributes:
        bury: Deletions that are newer than those known here.
        lapse: Versions of documents whose newest state has expired.
        remove: Documents that are gone, by a deletion or an expiry.
        write: Documents that are newer than what is here.
    """

    bury: dict[DocumentKey, int]
    lapse: dict[DocumentKey, int]
    remove: list[DocumentKey]
    write: list[Document]

    @property
    def keys(self) -> set[DocumentKey]:
        """The documents that any of it is about."""
        return {*self.bury, *self.lapse, *self.remove, *(document.key for document in self.write)}


async def join(holdings: Holdings, changes: Sequence[DocumentChange], now: datetime) -> None:
    """Join changes into what is held: of each document the newer state stays.

    A deletion that comes between the look and the write is found by a second look, and wins. A newer document that does
    is overwritten: that is what the writers' marks are for, by which both sides are merged again.

    Raises:
        InvalidRecordError: A document cannot be held; nothing or a part was joined.
    """
    held = await holdings.held([change.key for change in changes])
    steps = plan_join(held, changes, now)
    # Tombstones first: a crash in between must not leave a removed document without one.
    await holdings.tombstones.keep(steps.bury)
    await holdings.tombstones.keep_lapsed(steps.lapse)
    await holdings.remove(steps.remove)
    await holdings.write(steps.write, held)
    await _remove_overtaken(holdings, steps.write)


def plan_join(held: Mapping[DocumentKey, Held], changes: Sequence[DocumentChange], now: datetime) -> Steps:
    """Return what joining `changes` into `held` takes; several changes of one document are joined first."""
    steps = Steps({}, {}, [], [])
    by_key: dict[DocumentKey, list[DocumentChange]] = {}
    for change in changes:
        by_key.setdefault(change.key, []).append(change)
    for key, theirs in by_key.items():
        known = held[key]
        deleted = max(change.deleted for change in theirs)
        if deleted > known.deleted:
            steps.bury[key] = deleted
        deletion = max(deleted, known.deleted)
        given = [change.document for change in theirs if change.document is not None]
        # Of one version in two states, that which has not expired counts.
        newest = max(given, key=lambda doc: (doc.version, not has_expired(doc.expires_at, now)), default=None)
        version = version_of(known.record) if known.record else -1
        if newest is not None and not is_dead(newest.version, deletion) and _wins(newest, known, version, now):
            if has_expired(newest.expires_at, now):
                steps.lapse.update({key: newest.version} if newest.version > known.lapsed else {})
                if known.record is not None:
                    steps.remove.append(key)
            else:
                steps.write.append(newest)
        elif known.record is not None and is_dead(version, deletion):
            steps.remove.append(key)
    return steps


def _wins(given: Document, known: Held, version: int, now: datetime) -> bool:
    """Return whether a document takes the place of what is held, which is of `version`.

    What has expired is as if it were not there: no older state takes its place, but the same with a later expiry does.
    """
    if given.version < known.lapsed:
        return False
    expired = known.record is not None and is_expired(known.record, now)
    return given.version > version or (given.version == version and expired)


async def _remove_overtaken(holdings: Holdings, written: Sequence[Document]) -> None:
    if not written:
        return
    deletions = await holdings.tombstones.of([document.key for document in written])
    overtaken = [doc.key for doc in written if is_dead(doc.version, deletions.get(doc.key, 0))]
    await holdings.remove(overtaken)

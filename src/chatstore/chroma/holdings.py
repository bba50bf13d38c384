"""What this side holds of documents, wherever the plan puts them: read, written and removed by their keys."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from chatstore.chroma.collection import METADATA, WHOLE, Collection, Collections
from chatstore.chroma.collections import CollectionPlan
from chatstore.chroma.metadata import USER, decode, encode, version_of
from chatstore.chroma.records import Record
from chatstore.chroma.tombstones import Ends, Tombstones
from chatstore.errors import InvalidRecordError
from chatstore.models import Document, DocumentChange, DocumentKey, Quarantined, ScanPage, has_expired

T = TypeVar("T")

_MAX_RAW = 64 * 1024


@dataclass(frozen=True, slots=True)
class Held:
    """What is known of a document before it is written.

    Attributes:
        record: Its record with the metadata; None when there is none.
        deleted: The version of its newest deletion; 0 when it was never deleted.
        lapsed: The version of the newest state that expired and is held no more; 0 when none did.
    """

    record: Record | None
    deleted: int
    lapsed: int = 0

    @property
    def version(self) -> int:
        """The newest version that was ever given to it."""
        return max(self.deleted, self.lapsed, version_of(self.record) if self.record else 0)

    @property
    def is_overtaken(self) -> bool:
        """Whether the record is older than the deletion: what a late write or a crash left behind."""
        return self.record is not None and is_dead(version_of(self.record), self.deleted)


class Holdings:
    """The documents and the deletions of this side.

    Args:
        collections: The database's.
        plan: Which collection holds whose documents.
    """

    def __init__(self, collections: Collections, plan: CollectionPlan) -> None:
        self.plan = plan
        self.tombstones = Tombstones(collections)
        self._collections = collections

    def of_user(self, user_id: str) -> Collection:
        """Return the collection with a user's documents."""
        name = self.plan.collection_of(user_id)
        return self._collections.named(name, None if self.plan.shared else {"user_id": user_id})

    def decode(self, record: Record, collection: str) -> Document:
        """Return the document of a record.

        Raises:
            InvalidRecordError: As `metadata.decode` says.
        """
        document_id = self.plan.document_id(record.id)
        return decode(record, document_id=document_id, owner=self.plan.owner_of(collection))

    async def held(self, keys: Sequence[DocumentKey]) -> dict[DocumentKey, Held]:
        """Return what is held of each key; all collections are asked at once."""
        records, ends = await asyncio.gather(self._records(keys, METADATA), self.tombstones.ends(keys))
        ended = {key: ends.get(key, Ends()) for key in keys}
        return {key: Held(records.get(key), ended[key].deleted, ended[key].lapsed) for key in keys}

    async def changes(self, keys: Sequence[DocumentKey], now: datetime) -> ScanPage[DocumentChange]:
        """Return the state of each key that is known, whole; nothing that has expired by `now`."""
        records, deletions = await asyncio.gather(self._records(keys, WHOLE), self.tombstones.of(keys))
        changes, quarantined = [], []
        for key in dict.fromkeys(keys):
            record, deleted = records.get(key), deletions.get(key, 0)
            try:
                document = self.decode(record, self.of_user(key.user_id).name) if record else None
            except InvalidRecordError as error:
                quarantined.append(unreadable(key.id, record, error))
                continue
            gone = document is None or is_dead(document.version, deleted) or has_expired(document.expires_at, now)
            alive = None if gone else document
            if alive or deleted:
                changes.append(DocumentChange(key=key, document=alive, deleted=deleted))
        return ScanPage(tuple(changes), tuple(quarantined), None)

    async def write(self, documents: Sequence[Document], held: dict[DocumentKey, Held]) -> None:
        """Write documents over what was held of them.

        Raises:
            InvalidRecordError: One has no embedding, or one of another dimension than those that are there.
        """
        records = {document.key: self._encoded(document, held[document.key]) for document in documents}
        await self._each_collection(records, lambda collection, keys: collection.upsert([records[k] for k in keys]))

    async def remove(self, keys: Iterable[DocumentKey], *, where: Mapping[str, Any] | None = None) -> None:
        """Remove documents, only those that fit a filter if there is one; those that are not there are passed over."""
        await self._each_collection(
            keys, lambda collection, theirs: collection.delete([self.plan.record_id(key) for key in theirs], where)
        )

    def _encoded(self, document: Document, held: Held) -> Record:
        stale = held.record.metadata if held.record else ()
        return encode(document, record_id=self.plan.record_id(document.key), stale=stale)

    async def _records(self, keys: Sequence[DocumentKey], parts: tuple[str, ...]) -> dict[DocumentKey, Record]:
        async def read(collection: Collection, theirs: Sequence[DocumentKey]) -> dict[DocumentKey, Record]:
            by_id = {self.plan.record_id(key): key for key in theirs}
            found = await collection.get(list(by_id), parts=parts)
            # A record that says that it is another user's is not this key's, wherever it lies.
            mine = ((by_id[record.id], record) for record in found)
            return {key: record for key, record in mine if record.metadata.get(USER, key.user_id) == key.user_id}

        found = await self._each_collection(keys, read)
        return {key: record for part in found for key, record in part.items()}

    async def _each_collection(
        self, keys: Iterable[DocumentKey], work: Callable[[Collection, Sequence[DocumentKey]], Awaitable[T]]
    ) -> list[T]:
        groups: defaultdict[Collection, list[DocumentKey]] = defaultdict(list)
        for key in dict.fromkeys(keys):
            groups[self.of_user(key.user_id)].append(key)
        return await together([work(collection, theirs) for collection, theirs in groups.items()])


def is_dead(version: int, deleted: int) -> bool:
    """Return whether a document of `version` is gone by a deletion of version `deleted` (0: never deleted)."""
    return bool(deleted) and version <= deleted


def unreadable(document_id: str, record: Record | None, error: InvalidRecordError) -> Quarantined:
    """Return the quarantine record of one that cannot be read as a document."""
    raw = repr(dict(record.metadata) if record else {}).encode("utf-8", "backslashreplace")
    return Quarantined(key=document_id, reason=str(error), raw=raw[:_MAX_RAW], size=len(raw))


async def together(work: Iterable[Awaitable[T]]) -> list[T]:
    """Return all results, in order; an error is raised only after everything has ended."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]

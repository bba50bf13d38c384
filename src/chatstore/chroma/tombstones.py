"""The deletions of documents, kept so that no late write brings one back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chatstore.chroma.collection import Collections
from chatstore.chroma.names import joined_id
from chatstore.chroma.records import Record
from chatstore.models import DocumentKey, Embedding

NAME = "chatstore_tombstones"

NO_VECTOR = Embedding.of([0])
"""The embedding of records that are never searched: Chroma holds none without."""

_MAX_KEYS = 10_000


class Tombstones:
    """The versions of each deleted document's deletions, in a collection of its own; the newest counts.

    Each has a record of its own, because Chroma writes without looking: the older deletion of a slow writer must not
    take the place of a newer one.
    """

    def __init__(self, collections: Collections) -> None:
        self._collection = collections.named(NAME)

    async def of(self, keys: Sequence[DocumentKey]) -> dict[DocumentKey, int]:
        """Return the newest deletions of those among `keys` that were ever deleted."""
        wanted, newest = set(keys), dict[DocumentKey, int]()
        users, names = (sorted(part) for part in ({key.user_id for key in wanted}, {key.id for key in wanted}))
        for start in range(0, len(names), _MAX_KEYS):
            some = {"document_id": {"$in": names[start : start + _MAX_KEYS]}}
            for record in await self._collection.get(where={"$and": [{"user_id": {"$in": users}}, some]}):
                key = DocumentKey(str(record.metadata["user_id"]), str(record.metadata["document_id"]))
                if key in wanted and isinstance(version := record.metadata["version"], int):
                    newest[key] = max(version, newest.get(key, 0))
        return newest

    async def keep(self, deletions: Mapping[DocumentKey, int]) -> None:
        """Make deletions durable, beside older and newer ones of the same documents."""
        await self._collection.upsert(
            [
                Record(
                    id=f"{joined_id(key.user_id, key.id)}/{version}",
                    metadata={"user_id": key.user_id, "document_id": key.id, "version": version},
                    embedding=NO_VECTOR,
                )
                for key, version in deletions.items()
            ]
        )

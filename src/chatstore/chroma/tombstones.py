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


class Tombstones:
    """The version of each deleted document's newest deletion, in a collection of its own."""

    def __init__(self, collections: Collections) -> None:
        self._collection = collections.named(NAME)

    async def of(self, keys: Sequence[DocumentKey]) -> dict[DocumentKey, int]:
        """Return the deletions of those among `keys` that were ever deleted."""
        by_id = {joined_id(key.user_id, key.id): key for key in keys}
        found = await self._collection.get(list(by_id))
        return {by_id[record.id]: version for record in found if isinstance(version := record.metadata["version"], int)}

    async def keep(self, deletions: Mapping[DocumentKey, int]) -> None:
        """Make deletions durable, over older ones of the same documents."""
        await self._collection.upsert(
            [
                Record(
                    id=joined_id(key.user_id, key.id),
                    metadata={"user_id": key.user_id, "document_id": key.id, "version": version},
                    embedding=NO_VECTOR,
                )
                for key, version in deletions.items()
            ]
        )

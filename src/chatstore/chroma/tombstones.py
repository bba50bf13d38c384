"""The ends of documents, by deletion or by expiry, kept so that no late write brings one back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chatstore.chroma.collection import Collections
from chatstore.chroma.names import joined_id
from chatstore.chroma.records import Native, Record
from chatstore.models import DocumentKey, Embedding

NAME = "chatstore_tombstones"

NO_VECTOR = Embedding.of([0])
"""The embedding of records that are never searched: Chroma holds none without."""

_EXPIRED = "expired"
_MAX_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Ends:
    """How a document ended.

    Attributes:
        deleted: The version of its newest deletion; 0 when it was never deleted.
        lapsed: The version of the newest state of it that expired and is held no more; 0 when none did.
    """

    deleted: int = 0
    lapsed: int = 0


class Tombstones:
    """The versions of each ended document's ends, in a collection of its own; the newest counts.

    Each has a record of its own, because Chroma writes without looking: the older deletion of a slow writer must not
    take the place of a newer one.
    """

    def __init__(self, collections: Collections) -> None:
        self._collection = collections.named(NAME)

    async def of(self, keys: Sequence[DocumentKey]) -> dict[DocumentKey, int]:
        """Return the newest deletions of those among `keys` that were ever deleted."""
        return {key: ends.deleted for key, ends in (await self.ends(keys)).items() if ends.deleted}

    async def ends(self, keys: Sequence[DocumentKey]) -> dict[DocumentKey, Ends]:
        """Return the newest ends of those among `keys` that ever had one."""
        wanted, newest = set(keys), dict[DocumentKey, Ends]()
        users, names = (sorted(part) for part in ({key.user_id for key in wanted}, {key.id for key in wanted}))
        for start in range(0, len(names), _MAX_KEYS):
            some = {"document_id": {"$in": names[start : start + _MAX_KEYS]}}
            for record in await self._collection.get(where={"$and": [{"user_id": {"$in": users}}, some]}):
                key = DocumentKey(str(record.metadata["user_id"]), str(record.metadata["document_id"]))
                if key in wanted and isinstance(version := record.metadata["version"], int):
                    known = newest.get(key, Ends())
                    newest[key] = (
                        Ends(known.deleted, max(version, known.lapsed))
                        if record.metadata.get(_EXPIRED)
                        else Ends(max(version, known.deleted), known.lapsed)
                    )
        return newest

    async def keep(self, deletions: Mapping[DocumentKey, int]) -> None:
        """Make deletions durable, beside older and newer ones of the same documents."""
        await self._keep(deletions, "", {})

    async def keep_lapsed(self, versions: Mapping[DocumentKey, int]) -> None:
        """Make it durable that documents expired. It is no deletion: the other side is not told of it."""
        await self._keep(versions, f"/{_EXPIRED}", {_EXPIRED: True})

    async def _keep(self, versions: Mapping[DocumentKey, int], suffix: str, how: Mapping[str, Native]) -> None:
        await self._collection.upsert(
            [
                Record(
                    id=f"{joined_id(key.user_id, key.id)}/{version}{suffix}",
                    metadata={"user_id": key.user_id, "document_id": key.id, "version": version, **how},
                    embedding=NO_VECTOR,
                )
                for key, version in versions.items()
            ]
        )

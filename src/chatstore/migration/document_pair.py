"""Comparing documents on two sides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from typing import ClassVar

from chatstore.errors import UnavailableError
from chatstore.interfaces import DocumentSide
from chatstore.migration.compare import Difference, compare_documents, is_same_document
from chatstore.migration.index_proof import Proof, Sample, has_direction, prove_index
from chatstore.migration.overlap import both
from chatstore.migration.pairs import Compared, Pair, States, Suspect, in_order_of_sides
from chatstore.migration.reports import Tally
from chatstore.models import Document, DocumentChange, DocumentKey, KeyPage, Kind, Side, has_expired, utc_now
from chatstore.models.names import document_name


class DocumentPair(Pair[DocumentKey, DocumentKey, Document]):
    """Documents on both sides."""

    kind: ClassVar[Kind] = Kind.DOCUMENTS
    at_once: ClassVar[int] = 500
    read_at_once: ClassVar[int] = 500

    def __init__(self, old: DocumentSide, new: DocumentSide, *, proof_one_in: int) -> None:
        self.journals = (old.journal, new.journal)
        self.loads = (old.load, new.load)
        self._sides = {Side.OLD: old, Side.NEW: new}
        self._sample = Sample(proof_one_in)

    def keys(self, side: Side, cursor: str | None) -> AsyncIterator[KeyPage[DocumentKey]]:
        return self._sides[side].keys(cursor)

    async def total(self, side: Side, *, backfilled: bool) -> int:
        return await self._sides[Side.NEW if backfilled else side].estimate()

    async def passed_over(self, side: Side, keys: Sequence[DocumentKey]) -> Mapping[DocumentKey, Tally]:
        return {} if side is Side.OLD else dict.fromkeys(await self._sides[Side.OLD].held(keys), Tally())

    async def compare(
        self, side: Side, keys: Sequence[DocumentKey], suspect: Suspect[DocumentKey, Document]
    ) -> Compared:
        one, other = self._sides[side], self._sides[side.other]
        page, answer = await both(one.changes(keys), other.changes(keys))
        here, there = _documents(page.changes), _documents(answer.changes)
        suspects: dict[DocumentKey, States[Document]] = {
            key: in_order_of_sides(side, document, met)
            for key, document in here.items()
            if (met := there.get(key)) is None or not is_same_document(document, met)
        }
        await suspect(suspects)
        compared = (Tally(documents=len(here)), Tally(documents=len(here.keys() & there.keys())))
        old, new = compared if side is Side.OLD else compared[::-1]
        return Compared(old=old, new=new, quarantined=page.quarantined)

    async def read(self, side: Side, keys: Collection[DocumentKey]) -> dict[DocumentKey, Document]:
        return _documents((await self._sides[side].changes(tuple(keys))).changes)

    def differences(self, key: DocumentKey, old: Document | None, new: Document | None) -> list[Difference]:
        return compare_documents(document_name(key), old, new)

    def holds_more(self, key: DocumentKey) -> None:
        del key

    async def prove(self, keys: Sequence[DocumentKey]) -> Proof:
        of_new_users = [key for key in keys if self._sample.is_new(key)]
        try:
            return await self._prove(keys)
        except UnavailableError:
            # Nothing was proved for them, and whoever tries again must choose them again.
            self._sample.forget(of_new_users)
            raise

    async def _prove(self, keys: Sequence[DocumentKey]) -> Proof:
        documents: list[Document] = []
        rest: Sequence[DocumentKey] = keys
        while chosen := self._sample.of(rest):
            read = await self.read(Side.NEW, chosen)
            documents += [document for document in read.values() if has_direction(document)]
            # Of a user whose document cannot be searched for, another one is.
            missed = {key for key in chosen if (document := read.get(key)) is None or not has_direction(document)}
            self._sample.forget(missed)
            rest = [key for key in rest if key not in missed and self._sample.is_new(key)]
        return await prove_index(self._sides[Side.NEW], documents) if documents else Proof()

    def owner(self, record: Document) -> str:
        return record.user_id

    def marked_as(self, key: DocumentKey) -> str:
        return key.id

    def names(self, key: DocumentKey) -> list[str]:
        # A repair that a side refuses quarantines a document under its bare id.
        return [document_name(key), key.id]


def _documents(changes: Iterable[DocumentChange]) -> dict[DocumentKey, Document]:
    """Return what exists by these changes. What has expired does not, even where it is not swept away yet."""
    now = utc_now()
    documents = (change.document for change in changes)
    return {doc.key: doc for doc in documents if doc is not None and not has_expired(doc.expires_at, now)}

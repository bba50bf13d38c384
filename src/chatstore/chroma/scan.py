"""The keys of all documents of a plan's collections, in bounded memory, from a cursor: no text, and no embedding."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field

from chatstore.chroma.collection import BATCH, METADATA, Collections
from chatstore.chroma.holdings import Holdings, unreadable
from chatstore.chroma.records import Record
from chatstore.chroma.walk import Place, walk
from chatstore.errors import InvalidRecordError
from chatstore.models import DocumentKey, KeyPage, Quarantined

_LISTED = 200


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a scan came.

    Attributes:
        listing: The place of the collection in the list of collections.
        collection: The collection that is being read; None before the first.
        records: The place in it.
    """

    listing: Place = field(default_factory=Place)
    collection: str | None = None
    records: Place = field(default_factory=Place)

    def text(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        """Return the cursor of a text; the beginning when there is none.

        Raises:
            InvalidRecordError: It is not a cursor of a scan of Chroma.
        """
        if text is None:
            return cls()
        try:
            held = json.loads(text)
            return cls(_place(held["listing"]), held["collection"], _place(held["records"]))
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidRecordError("the cursor is not one of a scan of Chroma: begin again without") from error


async def collection_names(
    collections: Collections, holdings: Holdings, start: Place
) -> AsyncIterator[tuple[str, Place]]:
    """Yield the plan's collections from a place on, each with its own place."""
    async for stretch in walk(collections.names, str, size=_LISTED, start=start):
        for at, name in enumerate(stretch.items):
            if holdings.plan.holds(name):
                yield name, stretch.start.behind(stretch.items[:at])


async def keys(collections: Collections, holdings: Holdings, cursor: str | None) -> AsyncIterator[KeyPage[DocumentKey]]:
    """Yield the keys of all documents, as `DocumentSide.keys` says; small collections come together in one page."""
    begin = Cursor.parse(cursor)
    found: list[tuple[str, Record]] = []
    async for name, place in collection_names(collections, holdings, begin.listing):
        start = begin.records if name == begin.collection else Place()

        async def fetch(limit: int, offset: int, name: str = name) -> list[Record]:
            return await collections.named(name).get(parts=METADATA, limit=limit, offset=offset)

        async for stretch in walk(fetch, lambda record: record.id, size=BATCH, start=start):
            found += [(name, record) for record in stretch.items]
            if len(found) >= BATCH:
                yield _page(holdings, found, Cursor(place, name, stretch.end).text())
                found = []
    yield _page(holdings, found, None)


def _page(holdings: Holdings, found: list[tuple[str, Record]], cursor: str | None) -> KeyPage[DocumentKey]:
    named: list[DocumentKey] = []
    quarantined: list[Quarantined] = []
    for collection, record in found:
        try:
            named.append(_key(holdings, record, collection))
        except InvalidRecordError as error:
            quarantined.append(unreadable(holdings.plan.document_id(record.id), record, error))
    return KeyPage(tuple(dict.fromkeys(named)), tuple(quarantined), cursor)


def _key(holdings: Holdings, record: Record, collection: str) -> DocumentKey:
    """Return the key by which a record is found.

    Raises:
        InvalidRecordError: It has none: it says nobody's name, or lies where nobody looks for it.
    """
    key = holdings.decode(record, collection).key
    if holdings.of_user(key.user_id).name != collection or holdings.plan.record_id(key) != record.id:
        raise InvalidRecordError(
            f"the record {record.id!r} is user {key.user_id!r}'s, whose documents do not lie in the collection "
            f"{collection!r} under such an id: nobody finds it there"
        )
    return key


def _place(held: dict[str, object]) -> Place:
    offset, last = held["offset"], held["last"]
    if not isinstance(offset, int) or not isinstance(last, list):
        raise TypeError
    return Place(offset, tuple(map(str, last)))

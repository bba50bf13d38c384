"""What a Chroma cannot hold: asked of a document before it is sent.

Chroma itself is strict about the shape of a record only; Chroma Cloud has quotas besides, which it raises on request
(https://docs.trychroma.com/cloud/quotas-limits). A record of ours has some metadata of its own, so they count, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chatstore.chroma.collections import CollectionPlan, PerUser
from chatstore.chroma.metadata import encode, native_name
from chatstore.chroma.records import Record
from chatstore.errors import InvalidRecordError
from chatstore.models import Document
from chatstore.models.limits import Limited


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """How much a record may have, in bytes of UTF-8 where nothing else is said.

    Attributes:
        text: Its text.
        record_id: Its id in its collection.
        dimension: Numbers of its embedding.
        metadata_keys: How many keys of metadata, ours among them.
        metadata_key: Each of these keys.
        metadata_value: Each of their values.
        collection_name: The name of its collection.
    """

    text: int
    record_id: int
    dimension: int
    metadata_keys: int
    metadata_key: int
    metadata_value: int
    collection_name: int


CLOUD = Quotas(
    text=16_384,
    record_id=128,
    dimension=4_096,
    metadata_keys=32,
    metadata_key=36,
    metadata_value=4_096,
    collection_name=128,
)
"""Chroma Cloud's quotas. That of records a write is kept anyway."""

_OURS = "chatstore"


def limits_met(
    document: Document, *, plan: CollectionPlan | None = None, quotas: Quotas | None = None
) -> Iterator[Limited]:
    """Yield the limits that a document meets.

    Args:
        document: The document.
        plan: How documents are spread over collections; one for each user when left out.
        quotas: Those of Chroma Cloud; None for a Chroma without.
    """
    plan = plan or PerUser()
    try:
        record = encode(document, record_id=plan.record_id(document.key))
        collection = plan.collection_of(document.user_id)
    except InvalidRecordError as error:
        yield Limited("it has no embedding" if document.embedding is None else str(error))
        return
    if quotas is not None:
        yield from _quotas_met(document, record, collection, quotas)
    if any(native_name(name) not in record.metadata for name in document.metadata):
        yield Limited("some of its metadata is held encoded, and no search can filter on that", refused=False)


def _quotas_met(document: Document, record: Record, collection: str, quotas: Quotas) -> Iterator[Limited]:
    dimension = document.embedding.dimension if document.embedding else 0
    held = {name: value for name, value in record.metadata.items() if value is not None}
    longest = max((_bytes(value) for name, value in held.items() if name != _OURS), default=0)
    measured = (
        (_bytes(document.text), quotas.text, "its text has more than {:,} bytes"),
        (_bytes(record.id), quotas.record_id, "its id has more than {:,} bytes"),
        (dimension, quotas.dimension, "its embedding has more than {:,} dimensions"),
        (len(held), quotas.metadata_keys, "it has more than {:,} keys of metadata (with chatstore's own)"),
        (max(map(_bytes, held)), quotas.metadata_key, "a key of its metadata has more than {:,} bytes"),
        (longest, quotas.metadata_value, "a value of its metadata has more than {:,} bytes"),
        (
            _bytes(held.get(_OURS)),
            quotas.metadata_value,
            "what Chroma cannot hold natively of its metadata and extra fields has more than {:,} bytes",
        ),
        (_bytes(collection), quotas.collection_name, "the name of its user's collection has more than {:,} bytes"),
    )
    for found, allowed, reason in measured:
        if found > allowed:
            yield Limited(f"Chroma Cloud: {reason.format(allowed)}")


def _bytes(value: object) -> int:
    return len(str(value).encode("utf-8", "surrogatepass")) if value is not None else 0

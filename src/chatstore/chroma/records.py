"""What lies in a collection, and in which form Chroma takes and gives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from chatstore.models import Embedding

Native: TypeAlias = "str | int | float | bool | list[str] | list[int] | list[float] | list[bool] | None"

FLOAT32 = "<f4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One entry of a collection.

    Attributes:
        id: Its id there.
        metadata: What can be filtered on. In a write, a None removes a name: Chroma's upsert *adds* the metadata to
            what is there already.
        text: Chroma's document; None where it was not asked for, or there is none.
        embedding: Its vector; None where it was not asked for.
    """

    id: str
    metadata: Mapping[str, Native] = field(default_factory=dict)
    text: str | None = None
    embedding: Embedding | None = None


def records_of(ids: Sequence[str], metadatas: Any, texts: Any, embeddings: Any) -> list[Record]:
    """Return one answer's records, of the columns in which Chroma gives them."""
    return [
        Record(
            id=record_id,
            metadata=(metadatas[at] or {}) if metadatas is not None else {},
            text=texts[at] if texts is not None else None,
            embedding=_embedding_of(embeddings[at]) if embeddings is not None else None,
        )
        for at, record_id in enumerate(ids)
    ]


def columns_of(records: Sequence[Record]) -> dict[str, Any]:
    """Return records as the columns that Chroma's `upsert` takes."""
    columns: dict[str, Any] = {
        "ids": [record.id for record in records],
        "embeddings": [vector_of(record.embedding) for record in records if record.embedding is not None],
        "metadatas": [dict(record.metadata) for record in records],
    }
    if any(record.text is not None for record in records):
        columns["documents"] = [record.text for record in records]
    return columns


def vector_of(embedding: Embedding) -> Any:
    """Return an embedding as an array of float32, without a copy."""
    return np.frombuffer(embedding.data, FLOAT32)


def _embedding_of(numbers: Any) -> Embedding:
    # Chroma stores float32 and gives float64: the way back is exact.
    return Embedding(np.asarray(numbers, FLOAT32).tobytes())

"""The codec: a document as a record of a collection, and back.

A record's metadata hold, so that any Chroma client can filter on them:

- `title`, `url`, `user_id`, `version`, and the times `created_at`, `updated_at` and `expires_at`, as whole microseconds
  since 1970, because Chroma orders numbers only; the `expires_at` of a document that never does is `NEVER`;
- each field of the document's own metadata that Chroma can hold, by its own name, or behind `chatstore:` if that name
  is one of the above or one that Chroma reserves;
- `chatstore:length`: how long the embedding is;
- `chatstore`: a JSON object with the names of the fields just said (`fields`), the metadata that Chroma cannot hold
  (`metadata`: None, objects, empty and mixed lists, integers beyond 2**60) and the document's `extra`.

Chroma's upsert adds metadata to those that are there, so a record that two writers replaced at once may hold a field of
the older document. `fields` tells which ones count.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import numpy as np

from chatstore.chroma.records import Native, Record, vector_of
from chatstore.errors import InvalidRecordError
from chatstore.models import Document, Embedding, JsonObject, from_micros, to_micros

USER = "user_id"
UPDATED = "updated_at"
EXPIRES = "expires_at"

NEVER = 253_402_300_799_999_999
"""The `expires_at` of what does not expire: the last microsecond of the year 9999. It is written, so that none
of an older document stays behind; to remove the name instead costs Chroma more."""

LENGTH = "chatstore:length"
"""The Euclidean length of the embedding, if it is not all zero; see `search`. No app's field gets this name: only one
called `length` could, if that were a name of ours."""

_REST = "chatstore"
_ESCAPE = "chatstore:"
_OWN = frozenset({"title", "url", USER, "version", "created_at", UPDATED, EXPIRES, _REST})
_RESERVED = ("#", "$", "chroma:", _ESCAPE)

MAX_INT = 2**60
"""The greatest integer that lies in Chroma's own metadata; small enough that no server's arithmetic overflows."""


def native_name(field: str) -> str:
    """Return the name under which a field of a document's metadata lies in Chroma's."""
    return _ESCAPE + field if not field or field in _OWN or field.startswith(_RESERVED) else field


def encode(document: Document, *, record_id: str, stale: Iterable[str] = ()) -> Record:
    """Return the record of a document.

    Args:
        document: The document.
        record_id: The id that it has in its collection.
        stale: Names of metadata that are there already; those that the document does not have are removed.

    Raises:
        InvalidRecordError: The document has no embedding, or its metadata cannot be written as JSON.
    """
    if document.embedding is None:
        raise InvalidRecordError(
            f"the document {document.id!r} has no embedding, and Chroma holds none without: embed it first"
        )
    native = {name: native for name, value in document.metadata.items() if (native := _native(value)) is not None}
    rest: JsonObject = {
        "fields": sorted(native),
        "metadata": {name: value for name, value in document.metadata.items() if name not in native},
        "extra": document.extra,
    }
    held: dict[str, Native] = {
        **dict.fromkeys(stale),
        **{native_name(name): value for name, value in native.items()},
        "title": document.title,
        "url": document.url,
        USER: document.user_id,
        "version": document.version,
        "created_at": to_micros(document.created_at),
        UPDATED: to_micros(document.updated_at),
        EXPIRES: min(to_micros(document.expires_at), NEVER - 1) if document.expires_at else NEVER,
        LENGTH: _length(document.embedding) or None,
        _REST: _json(rest, document.id),
    }
    return Record(id=record_id, metadata=held, text=document.text, embedding=document.embedding)


def decode(record: Record, *, document_id: str, owner: str | None) -> Document:
    """Return the document of a record; `encode` undone.

    A record that chatstore did not write is read as well: what it lacks is empty, its times are 1970, and its version
    is the time of its last update.

    Args:
        record: A record with its metadata, and as much else as the caller needs.
        document_id: The document's own id.
        owner: Whose it is if the metadata do not say.

    Raises:
        InvalidRecordError: It belongs to nobody, or what should be chatstore's own is not.
    """
    held = record.metadata
    user_id = held.get(USER, owner)
    if not isinstance(user_id, str):
        raise InvalidRecordError(f"the record {record.id!r} has no {USER!r}: nobody knows whose it is")
    metadata, extra = _app_metadata(record)
    return Document(
        id=document_id,
        user_id=user_id,
        text=record.text or "",
        embedding=record.embedding,
        title=_text(held.get("title")),
        url=_text(held.get("url")),
        metadata=metadata,
        created_at=_time(held.get("created_at"), record.id) or from_micros(0),
        updated_at=_time(held.get(UPDATED), record.id) or from_micros(0),
        expires_at=None if held.get(EXPIRES) == NEVER else _time(held.get(EXPIRES), record.id),
        version=version_of(record),
        extra=extra,
    )


def version_of(record: Record) -> int:
    """Return a record's version: its own, else the time of its last update, else 0."""
    for held in (record.metadata.get("version"), record.metadata.get(UPDATED)):
        if isinstance(held, int) and not isinstance(held, bool):
            return held
    return 0


def is_expired(record: Record, now: datetime) -> bool:
    """Return whether a record, known with its metadata, has expired."""
    expires = record.metadata.get(EXPIRES)
    return isinstance(expires, int) and expires <= to_micros(now)


def _length(embedding: Embedding) -> float:
    # The squares of what float32 can hold are well within float64.
    return math.sqrt(np.square(vector_of(embedding), dtype=np.float64).sum())


def _app_metadata(record: Record) -> tuple[JsonObject, JsonObject]:
    """Return a document's metadata and its extra."""
    text = record.metadata.get(_REST)
    if text is None:
        return {name: value for name, value in record.metadata.items() if name not in _OWN and name != LENGTH}, {}
    try:
        rest: Any = json.loads(str(text))
        native = {name: record.metadata[native_name(name)] for name in rest["fields"]}
        return {**native, **rest["metadata"]}, dict(rest["extra"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidRecordError(
            f"the record {record.id!r} is not whole: {_REST!r} does not fit its metadata ({type(error).__name__})"
        ) from None  # it may quote them


def _json(rest: JsonObject, document_id: str) -> str:
    # Not orjson: it refuses the integers beyond 64 bits that end up here.
    try:
        return json.dumps(rest, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidRecordError(
            f"the metadata of the document {document_id!r} cannot be written as JSON ({type(error).__name__})"
        ) from None  # it may quote them


def _native(value: Any) -> Native:
    """Return a value as Chroma can hold it; None when it cannot."""
    if isinstance(value, list | tuple):
        alike = len({type(item) for item in value}) == 1
        return list(value) if alike and all(map(_is_scalar, value)) else None
    return value if _is_scalar(value) else None


def _is_scalar(value: Any) -> bool:
    if isinstance(value, int):
        return -MAX_INT <= value <= MAX_INT
    return isinstance(value, str) or (isinstance(value, float) and math.isfinite(value))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _time(value: Any, record_id: str) -> datetime | None:
    if value is None:
        return None
    try:
        return from_micros(value)
    except (OverflowError, TypeError) as error:
        raise InvalidRecordError(
            f"the record {record_id!r} has a time that is no count of microseconds since 1970"
        ) from error

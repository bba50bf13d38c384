"""Reading and writing the values of Redis fields: text, JSON objects, embeddings."""

from __future__ import annotations

import array
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import NoReturn

import numpy as np
import orjson

from chatstore.errors import ChatStoreError, InvalidRecordError
from chatstore.models import Embedding, JsonObject, JsonValue
from chatstore.models.values import check_json

FLOAT32 = "<f4"


class BadFieldError(ChatStoreError):
    """A field is not what its layout promises. It becomes a `LayoutError` with the record's key."""


def text_of(fields: Mapping[str, bytes], name: str) -> str:
    """Return a field as text; empty when the field is absent.

    Raises:
        BadFieldError: It is not UTF-8.
    """
    try:
        return fields.get(name, b"").decode()
    except UnicodeDecodeError as error:
        raise BadFieldError(f"{name} is not UTF-8 at byte {error.start}") from None  # whose `repr` quotes it


def required_text_of(fields: Mapping[str, bytes], name: str) -> str:
    """Return a field as text.

    Raises:
        BadFieldError: It is absent, empty, or not UTF-8.
    """
    value = text_of(fields, name)
    if not value:
        raise BadFieldError(f"it has no {name}")
    return value


def object_of(raw: bytes, name: str) -> JsonObject:
    """Return a field's JSON object; an empty one for an empty field and for JSON's null.

    Raises:
        BadFieldError: It is not JSON that every side could give back, or no object.
    """
    if raw in (b"", b"{}", b"null"):
        return {}
    try:
        value = _value_of(raw)
        check_json(value, name)
    except (ValueError, RecursionError, InvalidRecordError) as error:
        raise BadFieldError(f"{name} is no JSON that can be kept: {error}") from error
    if not isinstance(value, dict):
        raise BadFieldError(f"{name} is JSON, but no object")
    return value


def json_of(value: JsonValue) -> bytes:
    """Return a value as compact JSON in UTF-8."""
    try:
        return orjson.dumps(value, default=_plain)
    except TypeError:
        # An integer of more than 64 bits.
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain).encode()


def embedding_of(raw: bytes, name: str) -> Embedding | None:
    """Return a field's JSON array of numbers as an embedding; None for an empty field, JSON's null and `[]`.

    Raises:
        BadFieldError: It is no array of finite numbers.
    """
    if raw in (b"", b"null", b"[]"):
        return None
    try:
        numbers = orjson.loads(raw)
    except ValueError as error:
        raise BadFieldError(f"{name} is no embedding: {error}") from error
    try:
        # In less time than by numpy; an integer of any size fits: orjson gives none of more than 64 bits.
        held = array.array("f", numbers)
    except TypeError:
        held = None
    if held is None or not isinstance(numbers, list) or b"true" in raw or b"false" in raw:
        raise BadFieldError(f"{name} is no JSON array of numbers")
    vector = np.frombuffer(held, np.float32)
    if not np.isfinite(vector).all():
        raise BadFieldError(f"{name} is no embedding: it holds a NaN or an infinity, or what is one as float32")
    return Embedding(vector.astype(FLOAT32, copy=False).tobytes())


def split_extra(extra: JsonObject, taken: frozenset[str]) -> tuple[dict[str, bytes], bytes]:
    """Return what of `extra` can be fields of its own, and the rest as JSON: what is no text, or bears a taken name."""
    fields = {name: value.encode() for name, value in extra.items() if isinstance(value, str) and name not in taken}
    rest = {name: value for name, value in extra.items() if name not in fields}
    return fields, json_of(rest) if rest else b""


def join_extra(fields: Mapping[str, bytes], rest: bytes, taken: frozenset[str]) -> JsonObject:
    """Return the extra of a record: the fields that the layout does not name, and the rest; see `split_extra`.

    Raises:
        BadFieldError: One of the fields is not UTF-8.
    """
    if not rest and fields.keys() <= taken:
        return {}
    named = {name: text_of(fields, name) for name in fields if name not in taken}
    return {**object_of(rest, "extra"), **named} if rest else named


def _value_of(raw: bytes) -> JsonValue:
    """Return the value that JSON has.

    Raises:
        ValueError, RecursionError: It is none, or has an object with the same key twice.
    """
    with suppress(ValueError, TypeError):
        value: JsonValue = orjson.loads(raw)
        # What comes out as it went in had no key twice, and no integer that orjson makes a float.
        if orjson.dumps(value) == raw:
            return value
    # The standard library alone can tell duplicate keys and keep integers of any size.
    return json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_refuse)  # type: ignore[no-any-return]


def _unique(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)

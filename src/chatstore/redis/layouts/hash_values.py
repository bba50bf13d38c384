"""How the values of a document stand in the fields of a hash: as text, or as bytes that are none."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from chatstore.models import JsonValue
from chatstore.redis.layouts.fields import json_of

_BYTES = "base64"
"""The only member of an object in `extra` that stands for a field of a hash which is no text."""


def is_binary(value: JsonValue) -> bool:
    """Return whether a value of a hash stands for bytes that are no text."""
    return isinstance(value, Mapping) and value.keys() == {_BYTES}


def hash_text(value: JsonValue, separator: str = ",") -> str:
    """Return how a framework writes a value into a hash's field."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return separator.join(str(item) for item in value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    return json_of(value).decode()


def number_of(text: str) -> JsonValue:
    """Return the number that a text says, if it is written in no other way; else the text."""
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if repr(number) == text and text not in {"inf", "-inf", "nan"}:
            return number
    return text


def value_of(raw: bytes) -> JsonValue:
    """Return a field's text; of bytes that are no text, what `is_binary` knows."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {_BYTES: base64.b64encode(raw).decode()}


def bytes_of(value: JsonValue) -> bytes:
    """Return the bytes of a field that has this value."""
    if isinstance(value, Mapping) and value.keys() == {_BYTES}:
        try:
            raw = base64.b64decode(str(value[_BYTES]), validate=True)
            raw.decode()
        except UnicodeDecodeError:
            return raw
        except ValueError:
            pass
    return hash_text(value).encode()

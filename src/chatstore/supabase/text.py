"""Text that Postgres can hold, whatever the text: one lossless policy for what it cannot.

Postgres can store neither U+0000 nor a lone surrogate, in `text` or in `jsonb`. Each such code point is written as
U+FDD0 followed by its four hexadecimal digits, and so is U+FDD0 itself, so that decoding is exact. (U+FDD0 is a
noncharacter: Unicode keeps it for such internal uses, so real text hardly ever holds one.)

What else JSON would lose on the way is handled here too: `jsonb` writes all the digits of a number, so a great float
would come back as the integer that its shortest form names, which is another one. It goes as the integer that it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from chatstore.errors import InvalidRecordError

ESCAPE = "\ufdd0"
"""Begins what is written of a code point that Postgres cannot store."""
_UNSTORABLE = re.compile("[\x00\ud800-\udfff\ufdd0]")
_WRITTEN = re.compile(ESCAPE + "(0000|d[89a-f][0-9a-f]{2}|fdd0)")
# What in a JSON text may need more than to be sent as it is. Matches too much, in strings, which costs time only.
_SUSPECT = re.compile(r"\\u0000|[0-9]e\+[0-9]|[\ud800-\udfff\ufdd0]")
# From here on Python writes a float with an exponent. All of them are whole.
_GREAT = 1e16


def encode(text: str) -> str:
    """Return `text` as Postgres can hold it; the same object when nothing needs it."""
    return _UNSTORABLE.sub(lambda found: f"{ESCAPE}{ord(found[0]):04x}", text)


def decode(text: str) -> str:
    """Return the text that was encoded. What `encode` never writes is left as it is."""
    if ESCAPE not in text:
        return text
    return _WRITTEN.sub(lambda found: chr(int(found[1], 16)), text)


def dump(value: object) -> str:
    """Return `value` as a JSON text that `jsonb` takes and gives back whole.

    Raises:
        InvalidRecordError: No JSON text can hold it.
    """
    try:
        text = _json(value)
        return _json(_storable(value)) if _SUSPECT.search(text) else text
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidRecordError(f"a value cannot be written as JSON: {error}") from None  # whose `repr` may quote it


def load(text: str) -> Any:
    """Return what a JSON text from Postgres holds, as it was given to `dump`."""
    value = json.loads(text)
    return _restored(value) if ESCAPE in text else value


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _storable(value: object) -> object:
    match value:
        case str():
            return encode(value)
        case float() if abs(value) >= _GREAT:
            return int(value)
        case Mapping():
            return {encode(key): _storable(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_storable(inner) for inner in value]
        case _:
            return value


def _restored(value: Any) -> Any:
    if isinstance(value, str):
        return decode(value)
    if isinstance(value, dict):
        return {decode(key): _restored(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_restored(inner) for inner in value]
    return value

"""The plain values that records are made of: JSON, times and ids, and the checks that they pass at the edge."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from chatstore.errors import InvalidRecordError

JsonValue: TypeAlias = "bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
JsonObject: TypeAlias = Mapping[str, JsonValue]

MAX_ID_BYTES = 1024
MAX_JSON_DEPTH = 100

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def new_id() -> str:
    """Return an id that nobody else has (a random UUID's text)."""
    return str(uuid.uuid4())


def utc_now() -> datetime:
    """Return the time now, in UTC, with microseconds."""
    return datetime.now(UTC)


def to_micros(time: datetime) -> int:
    """Return the whole microseconds from 1970-01-01 UTC to `time`, which must be timezone-aware."""
    return (time - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the UTC time `micros` microseconds after 1970-01-01; exact, unlike a float's seconds.

    Raises:
        OverflowError: No calendar date is that far away.
    """
    return _EPOCH + timedelta(microseconds=micros)


def check_id(value: str, what: str) -> str:
    """Return `value` if every side can hold it as an id.

    Raises:
        InvalidRecordError: It is empty, longer than 1,024 bytes of UTF-8, or holds a lone surrogate.
    """
    if not value:
        raise InvalidRecordError(f"the {what} is empty: give one, or leave it out to get a new one")
    size = len(check_text(value, what).encode())
    if size > MAX_ID_BYTES:
        raise InvalidRecordError(f"the {what} has {size} bytes; at most {MAX_ID_BYTES} are allowed")
    return value


def check_text(value: str, what: str) -> str:
    """Return `value` if it is text that can be encoded.

    Raises:
        InvalidRecordError: It holds a lone surrogate, which no UTF-8 text can.
    """
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidRecordError(
            f"the {what} holds a lone surrogate at character {error.start}: replace it before storing"
        ) from error
    return value


def check_json(value: JsonValue, what: str, depth: int = 0) -> None:
    """Check that JSON can hold `value` and every side can give it back.

    Raises:
        InvalidRecordError: It is nested more than 100 deep, or holds a NaN, an infinity, a lone surrogate, a key
            that is no text, or an object of a type that JSON does not know.
    """
    if depth > MAX_JSON_DEPTH:
        raise InvalidRecordError(f"the {what} is nested more than {MAX_JSON_DEPTH} deep")
    if isinstance(value, str):
        check_text(value, what)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidRecordError(f"the {what} holds {value}, which JSON cannot")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise InvalidRecordError(f"the {what} has the key {key!r}; JSON's keys are text")
            check_text(key, what)
            check_json(inner, what, depth + 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            check_json(inner, what, depth + 1)
    elif value is not None and not isinstance(value, bool | int):
        raise InvalidRecordError(f"the {what} holds a {type(value).__name__}, which JSON cannot")

"""The plain values that records are made of: JSON, times and ids, and the checks that they pass at the edge."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from chatstore.errors import InvalidRecordError

JsonValue: TypeAlias = "bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
"""What JSON can say, as Python has it; integers of any length, and no NaN."""

JsonObject: TypeAlias = Mapping[str, JsonValue]
"""A JSON object: metadata, say."""

MAX_ID_BYTES = 1024
MAX_JSON_DEPTH = 100
MAX_JSON_VALUES = 2_000_000
MAX_JSON_INT_BITS = 4096

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
        InvalidRecordError: It is no text, is empty, is longer than 1,024 bytes of UTF-8, or holds a lone surrogate.
    """
    size = len(check_text(value, what).encode())
    if not size:
        raise InvalidRecordError(f"the {what} is empty: give one, or leave it out to get a new one")
    if size > MAX_ID_BYTES:
        raise InvalidRecordError(f"the {what} has {size} bytes; at most {MAX_ID_BYTES} are allowed")
    return value


def check_text(value: str, what: str) -> str:
    """Return `value` if it is text that can be encoded.

    Raises:
        InvalidRecordError: It is no text, or holds a lone surrogate, which no UTF-8 text can.
    """
    if not isinstance(value, str):
        raise InvalidRecordError(f"the {what} is of the type {type(value).__name__}: give a text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidRecordError(
            f"the {what} holds a lone surrogate at character {error.start}: replace it before storing"
        ) from None  # whose `repr` quotes the text
    return value


def check_json(value: JsonValue, what: str) -> None:
    """Check that JSON can hold `value` and every side can give it back.

    Raises:
        InvalidRecordError: It is nested more than 100 deep, has more than 2,000,000 values, or holds a NaN, an
            infinity, an integer of more than 4,096 bits, a lone surrogate, a key that is no text, or an object of a
            type that JSON does not know.
    """
    # Level by level, and each list and object as often as it occurs: one that holds another twice, and so on, is a huge
    # text.
    count, level = 1, [value]
    for _ in range(MAX_JSON_DEPTH + 1):
        following: list[JsonValue] = []
        for held in level:
            if isinstance(held, str):
                if not held.isascii():
                    check_text(held, what)
            elif isinstance(held, dict) or isinstance(held, Mapping):  # noqa: SIM101 - of a dict, that is told at once
                _check_keys(held, what)
                following += held.values()
            elif isinstance(held, list) or isinstance(held, tuple):  # noqa: SIM101 - as above
                following += held
            elif held is not None:
                _check_number(held, what)
            if count + len(following) > MAX_JSON_VALUES:
                raise InvalidRecordError(f"the {what} has more than {MAX_JSON_VALUES} values: store it in parts")
        if not following:
            return
        count, level = count + len(following), following
    raise InvalidRecordError(f"the {what} is nested more than {MAX_JSON_DEPTH} deep")


def check_object(value: JsonObject, what: str) -> None:
    """Check that `value` is a JSON object, as `check_json` does.

    Raises:
        InvalidRecordError: It is another value than an object, or one that `check_json` refuses.
    """
    if not isinstance(value, Mapping):
        raise InvalidRecordError(f"the {what} is of the type {type(value).__name__}: give a JSON object, a dictionary")
    check_json(value, what)


def check_time(value: datetime, what: str) -> None:
    """Check that `value` is a point in time that every side can hold.

    Raises:
        InvalidRecordError: It is no datetime, has no timezone, or lies outside the years 1 to 9999 in UTC.
    """
    if not isinstance(value, datetime):
        raise InvalidRecordError(f"the {what} is of the type {type(value).__name__}: give a datetime in UTC")
    if value.utcoffset() is None:
        raise InvalidRecordError(f"the {what} has no timezone: times are in UTC")
    try:
        value.astimezone(UTC)
    except OverflowError as error:
        raise InvalidRecordError(f"the {what} lies, in UTC, outside the years 1 to 9999") from error


def _check_keys(held: JsonObject, what: str) -> None:
    for key in held:
        if not isinstance(key, str):
            raise InvalidRecordError(f"the {what} has a key of the type {type(key).__name__}; JSON's keys are text")
        if not key.isascii():
            check_text(key, what)


def _check_number(held: JsonValue, what: str) -> None:
    if isinstance(held, float):
        if not math.isfinite(held):
            raise InvalidRecordError(f"the {what} holds {held}, which JSON cannot")
    elif not isinstance(held, int):
        raise InvalidRecordError(f"the {what} holds a {type(held).__name__}, which JSON cannot")
    elif held.bit_length() > MAX_JSON_INT_BITS:
        raise InvalidRecordError(f"the {what} holds an integer of more than {MAX_JSON_INT_BITS} bits")

"""JSON for RedisJSON, which reads numbers its own way.

Its parser (serde_json's default one) takes up to 19 or 20 digits as a whole number and multiplies it by a power of ten:
two roundings, so one in some numbers comes out as its neighbour, and is given back as that for ever. Here each number
is written so that what RedisJSON makes of it is the number: where its shortest text does not do, by another one that
does. Whole numbers beyond 64 bits become floats there.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import cache

from chatstore.models import JsonValue

_TEXT = re.compile(r"(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$")
_MOST = 2**64 - 1
_LEAST_WHOLE, _GREATEST_POWER = -(2**63), 308
_DIGITS = (17, 18, 19, 16)
_NEIGHBOURS = 3


def json_for_redis(value: JsonValue) -> str:
    """Return a value as compact JSON which RedisJSON reads as that value, as far as it can."""
    return written_for_redis(value)[0]


def as_redis_reads(value: JsonValue) -> JsonValue:
    """Return a value as RedisJSON gives it back after `json_for_redis`."""
    return written_for_redis(value)[1]


def written_for_redis(value: JsonValue) -> tuple[str, JsonValue]:
    """Return both: the text, and what RedisJSON gives back of it."""
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        members = {name: written_for_redis(inner) for name, inner in value.items()}
        texts = (f"{json.dumps(name, ensure_ascii=False)}:{text}" for name, (text, _) in members.items())
        return f"{{{','.join(texts)}}}", {name: read for name, (_, read) in members.items()}
    if isinstance(value, list | tuple):
        items = [written_for_redis(inner) for inner in value]
        return f"[{','.join(text for text, _ in items)}]", [read for _, read in items]
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, int) and not isinstance(value, bool) and not _LEAST_WHOLE <= value <= _MOST:
        return text, number_read(text)
    return text, value


def _number(value: float) -> tuple[str, float]:
    shortest = repr(value)
    read = number_read(shortest)
    if read == value:
        return shortest, value
    other = next((text for text in _spellings(value) if number_read(text) == value), None)
    return (shortest, read) if other is None else (other, value)


def _spellings(value: float) -> Iterator[str]:
    for digits in _DIGITS:
        yield f"{value:.{digits}e}"
    lower = upper = value
    for _ in range(_NEIGHBOURS):
        lower, upper = math.nextafter(lower, -math.inf), math.nextafter(upper, math.inf)
        for near in (lower, upper):
            if math.isfinite(near):
                yield repr(near)
                yield from (f"{near:.{digits}e}" for digits in _DIGITS)


def number_read(text: str) -> float:
    """Return what serde_json makes of a number (`f64_from_parts` in its `de.rs`)."""
    found = _TEXT.match(text)
    if found is None:
        return float(text)
    sign, whole, fraction, power = found.groups()
    fraction = fraction or ""
    significand, shift = int(whole + fraction), int(power or 0) - len(fraction)
    if significand > _MOST:
        significand, shift = _cut(whole, fraction, int(power or 0))
    number = float(significand)
    while number and abs(shift) > _GREATEST_POWER:
        if shift > 0:
            return math.copysign(math.inf, -1 if sign else 1)
        number, shift = number / _power(_GREATEST_POWER), shift + _GREATEST_POWER
    if number:
        number = number * _power(shift) if shift >= 0 else number / _power(-shift)
    return -number if sign else number


def _cut(whole: str, fraction: str, power: int) -> tuple[int, int]:
    """Return the digits that 64 bits hold, and the power of ten behind them; the others are dropped."""
    significand, shift, is_full = 0, power, False
    for place, digit in enumerate(whole + fraction):
        is_full = is_full or significand * 10 + int(digit) > _MOST
        if not is_full:
            significand = significand * 10 + int(digit)
            shift -= place >= len(whole)
        else:
            shift += place < len(whole)
    return significand, shift


@cache
def _power(exponent: int) -> float:
    return float(f"1e{exponent}")

"""Which values an index takes in a field: one that it does not take keeps the whole record out of its searches.

What cannot be told for sure counts as not taken: it is kept beside then, and harms no search.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from chatstore.models import JsonValue
from chatstore.redis.layouts.search_index import IndexedField

_NUMBER = r"[+-]?\d{1,300}(?:\.\d+)?(?:[eE][+-]?\d{1,2})?"
_NUMERIC = re.compile(_NUMBER)
_PLACE = re.compile(rf"({_NUMBER}),({_NUMBER})")
_PATH = re.compile(r"[^.\[\]*$\"']+(?:\[\*\])?(?:\.[^.\[\]*$\"']+(?:\[\*\])?)*")
_FARTHEST_EAST, _FARTHEST_NORTH = 180, 85.05
_EVERY = "*"


def fits_hash(one: IndexedField, raw: bytes) -> bool:
    """Return whether the index takes these bytes in the field of a hash."""
    if one.kind == "VECTOR":
        return one.numbers is None or one.dimension is None or len(raw) == one.numbers.size * one.dimension
    if one.kind == "NUMERIC":
        return _NUMERIC.fullmatch(raw.decode("ascii", "replace")) is not None
    return one.kind != "GEO" or _is_place(raw.decode("ascii", "replace"))


def unfit_members(one: IndexedField, members: Mapping[str, JsonValue]) -> str | None:
    """Return the member of a JSON document whose value the index does not take in a field; None when it takes it."""
    if _PATH.fullmatch(one.name) is None:
        return None
    steps = one.name.replace("[*]", f".{_EVERY}").split(".")
    found: list[JsonValue] = [members]
    for step in steps:
        found = [inner for value in found for inner in _inside(value, step)]
    is_single = _EVERY not in steps
    return None if all(_fits(one, value, is_single=is_single) for value in found) else steps[0]


def _inside(value: JsonValue, step: str) -> list[JsonValue]:
    if step == _EVERY:
        return list(value.values()) if isinstance(value, Mapping) else list(value) if isinstance(value, list) else []
    return [value[step]] if isinstance(value, Mapping) and step in value else []


def _fits(one: IndexedField, value: JsonValue, *, is_single: bool) -> bool:
    if value is None:
        return True
    if one.kind == "VECTOR":
        numbers = isinstance(value, list) and all(_is_number(item) for item in value)
        return numbers and isinstance(value, list) and one.dimension in {None, len(value)}
    if isinstance(value, list):
        takes_lists = is_single and one.kind != "GEOSHAPE"
        return takes_lists and all(
            item is None or (_is_one(one, item) and not isinstance(item, bool)) for item in value
        )
    return _is_one(one, value)


def _is_one(one: IndexedField, value: JsonValue) -> bool:
    if one.kind == "NUMERIC":
        return _is_number(value)
    if one.kind == "TAG":
        return isinstance(value, str | bool)
    return isinstance(value, str) and (one.kind != "GEO" or _is_place(value))


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_place(text: str) -> bool:
    found = _PLACE.fullmatch(text)
    return found is not None and abs(float(found[1])) <= _FARTHEST_EAST and abs(float(found[2])) <= _FARTHEST_NORTH

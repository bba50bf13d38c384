"""Metadata filters: one small language for every document store (Chroma's `where`, checked and bounded)."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from chatstore.errors import InvalidRecordError
from chatstore.models.values import MAX_ID_BYTES, JsonObject, JsonValue, check_json

Scalar: TypeAlias = "str | int | float | bool"
Filter: TypeAlias = "Comparison | Membership | Both"

MAX_FILTER_DEPTH = 16
MAX_FILTER_VALUES = 10_000
_ORDERINGS: dict[str, Callable[[float, float], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field beside a value: `$eq`, `$ne`, and for numbers `$gt`, `$gte`, `$lt`, `$lte`."""

    field: str
    op: str
    value: Scalar = dataclasses.field(repr=False)

    def matches(self, metadata: JsonObject) -> bool:
        """Return whether the field fits. A field that is absent fits `$ne` only."""
        held = metadata.get(self.field)
        if self.op == "$eq":
            return _equal(held, self.value)
        if self.op == "$ne":
            return not _equal(held, self.value)
        comparable = _is_number(held) and _is_number(self.value)
        return comparable and _ORDERINGS[self.op](held, self.value)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Membership:
    """A field among some values: `$in`, `$nin`."""

    field: str
    op: str
    values: tuple[Scalar, ...] = dataclasses.field(repr=False)

    def matches(self, metadata: JsonObject) -> bool:
        """Return whether the field fits. A field that is absent fits `$nin` only."""
        held = metadata.get(self.field)
        found = any(_equal(held, value) for value in self.values)
        return found if self.op == "$in" else not found


@dataclass(frozen=True, slots=True)
class Both:
    """Several filters at once: `$and`, `$or`."""

    op: str
    parts: tuple[Filter, ...]

    def matches(self, metadata: JsonObject) -> bool:
        """Return whether all parts fit, or any."""
        results = (part.matches(metadata) for part in self.parts)
        return all(results) if self.op == "$and" else any(results)


def parse_filter(where: JsonObject) -> Filter:
    """Return `where` as a checked filter. Several fields in one object are all required.

    Raises:
        InvalidRecordError: It is empty, nested too deep, names an operator that does not exist or a field by no text,
            or compares with more than 10,000 values or with something that is not a text, a finite number or a truth
            value.
    """
    check_json(where, "filter")
    wanted = _parse(where, 0)
    if (count := _values(wanted)) > MAX_FILTER_VALUES:
        raise InvalidRecordError(f"the filter compares with {count} values; at most {MAX_FILTER_VALUES} are allowed")
    return wanted


def _parse(where: JsonObject, depth: int) -> Filter:
    if depth > MAX_FILTER_DEPTH:
        raise InvalidRecordError(f"the filter is nested more than {MAX_FILTER_DEPTH} deep")
    if not isinstance(where, Mapping) or not where:
        raise InvalidRecordError('a filter is an object with at least one field, as in {"topic": "tea"}')
    parts = tuple(_parse_field(name, condition, depth) for name, condition in where.items())
    return parts[0] if len(parts) == 1 else Both("$and", parts)


def _parse_field(name: str, condition: JsonValue, depth: int) -> Filter:
    _check_name(name)
    if name in ("$and", "$or"):
        if not isinstance(condition, Sequence) or isinstance(condition, str) or not condition:
            raise InvalidRecordError(f"{name} takes a list with at least one filter")
        return Both(name, tuple(_parse(_object(part, name), depth + 1) for part in condition))
    if name.startswith("$"):
        raise InvalidRecordError(f"the filter has no operator {name!r} in this place")
    if not isinstance(condition, Mapping):
        return Comparison(name, "$eq", _scalar(condition, name))
    if not condition:
        raise InvalidRecordError(f"the filter's field {name!r} has an empty condition")
    parts = tuple(_parse_condition(name, op, value) for op, value in condition.items())
    return parts[0] if len(parts) == 1 else Both("$and", parts)


def _parse_condition(name: str, op: str, value: JsonValue) -> Filter:
    if op in ("$eq", "$ne"):
        return Comparison(name, op, _scalar(value, name))
    if op in _ORDERINGS:
        scalar = _scalar(value, name)
        if not _is_number(scalar):
            raise InvalidRecordError(f"{op} compares numbers; {name!r} is given a {type(scalar).__name__}")
        return Comparison(name, op, scalar)
    if op in ("$in", "$nin"):
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise InvalidRecordError(f"{op} takes a list with at least one value")
        return Membership(name, op, tuple(_scalar(item, name) for item in value))
    raise InvalidRecordError(
        f"{name!r} has an operator that no filter has; there are $eq $ne $gt $gte $lt $lte $in $nin"
    )


def _object(value: JsonValue, name: str) -> JsonObject:
    if not isinstance(value, Mapping):
        raise InvalidRecordError(f"{name} takes a list of filters, each an object")
    return value


def _scalar(value: JsonValue, name: str) -> Scalar:
    if isinstance(value, str | bool) or (isinstance(value, int | float) and _is_float64(value)):
        return value
    raise InvalidRecordError(
        f"the filter compares {name!r} with something that is no text, truth value or number that a float64 can hold"
    )


def _check_name(name: str) -> None:
    size = len(name.encode())
    if size > MAX_ID_BYTES:
        raise InvalidRecordError(f"the filter names a field by {size} bytes; at most {MAX_ID_BYTES} are allowed")


def _is_float64(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _values(wanted: Filter) -> int:
    if isinstance(wanted, Both):
        return sum(map(_values, wanted.parts))
    return 1 if isinstance(wanted, Comparison) else len(wanted.values)


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(held: JsonValue, value: Scalar) -> bool:
    # In Python True == 1 and "1" != 1: JSON, and Chroma, keep the types apart.
    if isinstance(held, bool) != isinstance(value, bool):
        return False
    return held == value

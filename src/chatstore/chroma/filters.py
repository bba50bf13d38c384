"""A checked metadata filter as Chroma's `where`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from chatstore.chroma.metadata import native_name
from chatstore.errors import InvalidRecordError
from chatstore.models.filters import Both, Comparison, Filter, Scalar

Where: TypeAlias = Mapping[str, Any]

_MAX_INT = 2**63 - 1
_MAX_VALUES = 10_000
_DOCUMENT_FIELDS = ("title", "url")


def where_of(wanted: Filter | None, scope: Where | None = None) -> Where | None:
    """Return the `where` that finds what a filter wants; None when that is everything.

    Only in this it differs from `Filter.matches`: an integer beyond 64 bits lies where Chroma does not look, so a
    document that holds one is found as if it did not.

    Args:
        wanted: What the caller asked for.
        scope: What holds besides, whatever the caller asked for: whose documents.

    Raises:
        InvalidRecordError: The filter lists more than 10,000 values, or a number that no float64 can hold.
    """
    if wanted is None:
        return scope
    if _values(wanted) > _MAX_VALUES:
        raise InvalidRecordError(f"a filter compares with at most {_MAX_VALUES} values")
    asked = _translated(wanted)
    return asked if scope is None else {"$and": [scope, asked]}


def _translated(wanted: Filter) -> Where:
    if isinstance(wanted, Both):
        return _joined(wanted.op, [_translated(part) for part in wanted.parts])
    if isinstance(wanted, Comparison):
        return {_name(wanted.field): {wanted.op: _value(wanted.value)}}
    # Chroma takes a list of one type only.
    groups: dict[type, dict[Scalar, None]] = {}
    for value in map(_value, wanted.values):
        groups.setdefault(type(value), {})[value] = None
    parts = [{_name(wanted.field): {wanted.op: list(group)}} for group in groups.values()]
    return _joined("$or" if wanted.op == "$in" else "$and", parts)


def _joined(op: str, parts: Sequence[Where]) -> Where:
    # Chroma refuses an `$and` of one.
    return parts[0] if len(parts) == 1 else {op: list(parts)}


def _name(field: str) -> str:
    return field if field in _DOCUMENT_FIELDS else native_name(field)


def _value(value: Scalar) -> Scalar:
    if isinstance(value, int) and not -_MAX_INT <= value <= _MAX_INT:
        try:
            return float(value)
        except OverflowError as error:
            raise InvalidRecordError("the filter compares with a number that is too large for a float64") from error
    return value


def _values(wanted: Filter) -> int:
    if isinstance(wanted, Both):
        return sum(map(_values, wanted.parts))
    return 1 if isinstance(wanted, Comparison) else len(wanted.values)

"""A checked metadata filter as Chroma's `where`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from chatstore.chroma.metadata import MAX_INT, native_name
from chatstore.models.filters import Both, Comparison, Filter, Scalar

Where: TypeAlias = Mapping[str, Any]

_DOCUMENT_FIELDS = ("title", "url")


def where_of(wanted: Filter | None, scope: Where | None = None) -> Where | None:
    """Return the `where` that finds what a filter wants; None when that is everything.

    Only in this it differs from `Filter.matches`: a document's integer beyond 2**60 lies where Chroma does not look, so
    the document is found as if it did not hold it.

    Args:
        wanted: What the caller asked for.
        scope: What holds besides, whatever the caller asked for: whose documents.
    """
    if wanted is None:
        return scope
    asked = _translated(wanted)
    return asked if scope is None else {"$and": [scope, asked]}


def _translated(wanted: Filter) -> Where:
    if isinstance(wanted, Both):
        return _joined(wanted.op, [_translated(part) for part in wanted.parts])
    if isinstance(wanted, Comparison):
        return _comparison(_name(wanted.field), wanted.op, _value(wanted.value))
    return _membership(_name(wanted.field), wanted.op, [_value(value) for value in wanted.values])


def _comparison(name: str, op: str, value: Scalar) -> Where:
    """Return a comparison that treats integers and fractions rightly.

    Chroma (1.5.9) cuts off a number's fraction before it compares it with integers: to it an integer 1 equals 1.5. So
    the integer that remains of the fraction is taken in, or left out, by a comparison of its own.
    """
    plain = {name: {op: value}}
    if not isinstance(value, float) or value.is_integer():
        return plain
    whole = math.trunc(value)
    fits = Comparison(name, op, value).matches({name: whole})
    return {"$or": [plain, {name: {"$eq": whole}}]} if fits else {"$and": [plain, {name: {"$ne": whole}}]}


def _membership(name: str, op: str, values: Sequence[Scalar]) -> Where:
    fractions = {value: None for value in values if isinstance(value, float) and not value.is_integer()}
    # Chroma takes a list of one type only.
    groups: dict[type, dict[Scalar, None]] = {}
    for value in values:
        if value not in fractions:
            groups.setdefault(type(value), {})[value] = None
    parts: list[Where] = [{name: {op: list(group)}} for group in groups.values()]
    parts += [_comparison(name, "$eq" if op == "$in" else "$ne", value) for value in fractions]
    return _joined("$or" if op == "$in" else "$and", parts)


def _joined(op: str, parts: Sequence[Where]) -> Where:
    # Chroma refuses an `$and` of one.
    return parts[0] if len(parts) == 1 else {op: list(parts)}


def _name(field: str) -> str:
    return field if field in _DOCUMENT_FIELDS else native_name(field)


def _value(value: Scalar) -> Scalar:
    return float(value) if isinstance(value, int) and not -MAX_INT <= value <= MAX_INT else value

"""LlamaIndex's metadata filters in chatstore's words."""

from __future__ import annotations

from typing import cast

from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

from chatstore.errors import UnsupportedError
from chatstore.models import JsonObject, JsonValue

_OPERATORS = {
    FilterOperator.EQ: "$eq",
    FilterOperator.NE: "$ne",
    FilterOperator.GT: "$gt",
    FilterOperator.GTE: "$gte",
    FilterOperator.LT: "$lt",
    FilterOperator.LTE: "$lte",
    FilterOperator.IN: "$in",
    FilterOperator.NIN: "$nin",
}
_OPPOSITES = {"$eq": "$ne", "$ne": "$eq", "$in": "$nin", "$nin": "$in"}
"""An ordering has none: a field that is absent is neither greater nor less."""


def where_of(filters: MetadataFilters | None) -> JsonObject | None:
    """Return filters as a `where` of `DocumentStore.search`; None where they are none.

    Raises:
        UnsupportedError: No such filter can be put to every side.
    """
    if filters is None or not filters.filters:
        return None
    return _all_of(filters, negated=False)


def _all_of(filters: MetadataFilters, *, negated: bool) -> JsonObject:
    parts = filters.filters
    if not parts:
        raise UnsupportedError("a filter within filters has no parts: leave it out")
    condition = filters.condition or FilterCondition.AND
    if condition is FilterCondition.NOT:  # none of them
        condition, negated = FilterCondition.OR, not negated
    if negated:
        condition = FilterCondition.AND if condition is FilterCondition.OR else FilterCondition.OR
    return {f"${condition.value}": [_one_of(part, negated=negated) for part in parts]}


def _one_of(part: MetadataFilter | MetadataFilters, *, negated: bool) -> JsonObject:
    if isinstance(part, MetadataFilters):
        return _all_of(part, negated=negated)
    operator = _OPERATORS.get(part.operator)
    if operator is None:
        names = ", ".join(each.value for each in _OPERATORS)
        raise UnsupportedError(f"no filter of chatstore's can be {part.operator.value!r}; there are {names}")
    if negated and operator not in _OPPOSITES:
        raise UnsupportedError(f"a filter with {part.operator.value!r} cannot be negated here: turn it round")
    return {part.key: {_OPPOSITES[operator] if negated else operator: cast("JsonValue", part.value)}}

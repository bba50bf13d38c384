"""What an item of LangGraph's store is as a document, and what its searches ask of documents.

The document's text is what is embedded. Its metadata have the item: `{"langgraph": "item", "namespace": [...], "key":
"…", "value": {...}}`; and once more by themselves, so that a filter finds them, each part of the namespace
(`namespace.0`, …) and each text, number and truth value that the value has (`value.…`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from chatstore.errors import InvalidRecordError, UnsupportedError
from chatstore.models import Document, JsonObject, JsonValue, Match, NewDocument
from chatstore.models.values import check_json, check_text

try:
    from langgraph.store.base import Item, ListNamespacesOp, MatchCondition, PutOp, SearchItem
    from langgraph.store.base.embed import get_text_at_path
except ImportError as missing:
    raise ImportError("the store of LangGraph needs its package: pip install 'chatstore[langgraph]'") from missing

_MARKER, _IS = "langgraph", "item"
_OPERATORS = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte")
Namespace = tuple[str, ...]


def document_id(user_id: str, namespace: Namespace, key: str) -> str:
    """Return the id of an item's document: the user is in it, as there are backends in which users share ids."""
    named = json.dumps([user_id, list(namespace), key])
    return f"langgraph/{hashlib.sha256(named.encode()).hexdigest()[:32]}"


def new_document(user_id: str, op: PutOp, fields: Sequence[str]) -> NewDocument:
    """Return an item as a document to write.

    Args:
        user_id: Whose it is.
        op: What is put; not a deletion.
        fields: What is embedded, where the operation does not say.

    Raises:
        InvalidRecordError: The value is nothing that JSON can hold.
    """
    value = dict(op.value or {})
    check_json(value, "item's value")
    paths = fields if op.index is None else op.index or []
    texts = [text for path in paths for text in get_text_at_path(value, path)]
    metadata: dict[str, JsonValue] = {
        _MARKER: _IS,
        "indexed": bool(texts),
        "namespace": [check_text(part, "part of a namespace") for part in op.namespace],
        "key": check_text(op.key, "key of an item"),
        "value": value,
        **{f"namespace.{place}": part for place, part in enumerate(op.namespace)},
        **{f"value.{name}": held for name, held in value.items() if _is_scalar(held)},
    }
    # A document has an embedding, whether anybody may find it by that or not.
    text = "\n".join(texts) or json.dumps(value, ensure_ascii=False)
    return NewDocument(text, id=document_id(user_id, op.namespace, op.key), metadata=metadata)


def is_item(document: Document) -> bool:
    """Return whether a document is an item of LangGraph's."""
    return document.metadata.get(_MARKER) == _IS


def namespace_of(document: Document) -> Namespace:
    """Return the namespace of an item."""
    held = document.metadata.get("namespace")
    if not isinstance(held, list | tuple) or not all(isinstance(part, str) for part in held):
        raise _broken(document)
    return tuple(map(str, held))


def item_of(document: Document) -> Item:
    """Return a document as an item.

    Raises:
        InvalidRecordError: It is none.
    """
    return Item(**_fields(document))


def found_item(document: Document, score: float | None) -> SearchItem:
    """Return a document as what a search found.

    Raises:
        InvalidRecordError: It is none.
    """
    return SearchItem(**_fields(document), score=score)


def matched(match: Match) -> SearchItem:
    """Return what a search by a query found."""
    return found_item(match.document, match.score)


def where_of(prefix: Namespace, wanted: Mapping[str, Any] | None, *, indexed: bool) -> JsonObject:
    """Return what a search asks for, as a filter of documents.

    Args:
        prefix: What the namespace begins with.
        wanted: The filter, by the value's names.
        indexed: Whether only items are wanted that a query may find.

    Raises:
        UnsupportedError: The filter compares with a list, an object or nothing, or by an operator that there is not.
    """
    parts: list[JsonValue] = [{_MARKER: _IS}, *({f"namespace.{place}": part} for place, part in enumerate(prefix))]
    if indexed:
        parts.append({"indexed": True})
    for name, condition in (wanted or {}).items():
        operators = condition if isinstance(condition, Mapping) else {"$eq": condition}
        if not operators or not all(op in _OPERATORS and _is_scalar(value) for op, value in operators.items()):
            raise UnsupportedError(
                f"the filter compares {name!r} with what is no text, number or truth value, or by another operator "
                f"than {' '.join(_OPERATORS)}: filter what the search returns"
            )
        parts.append({f"value.{name}": dict(operators)})
    return {"$and": parts}


def namespaces_for(found: set[Namespace], op: ListNamespacesOp) -> list[Namespace]:
    """Return those of some namespaces that an operation asks for, sorted."""
    fitting = [each for each in found if all(_fits(condition, each) for condition in op.match_conditions or ())]
    cut = {each[: op.max_depth] for each in fitting} if op.max_depth is not None else set(fitting)
    return sorted(cut)[op.offset : op.offset + op.limit]


def _fits(condition: MatchCondition, namespace: Namespace) -> bool:
    path = tuple(condition.path)
    if len(path) > len(namespace):
        return False
    part = namespace[: len(path)] if condition.match_type == "prefix" else namespace[len(namespace) - len(path) :]
    return all(wanted in ("*", held) for wanted, held in zip(path, part, strict=True))


def _fields(document: Document) -> dict[str, Any]:
    key, value = document.metadata.get("key"), document.metadata.get("value")
    if not is_item(document) or not isinstance(key, str) or not isinstance(value, Mapping):
        raise _broken(document)
    return {
        "namespace": namespace_of(document),
        "key": key,
        "value": dict(value),
        "created_at": document.created_at,
        "updated_at": document.updated_at,
    }


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float | bool)


def _broken(document: Document) -> InvalidRecordError:
    return InvalidRecordError(f"the document {document.id!r} is no item of LangGraph's store")

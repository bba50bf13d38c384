"""The layout `llamaindex` of documents: what `RedisVectorStore` of llama-index-vector-stores-redis writes.

`{prefix}_{id}` is a hash with `id`, `text`, `vector`, `_node_content` (the node as JSON: its metadata, its
relationships, an empty text), `_node_type`, the id of the document that the node is a part of (`doc_id`, `document_id`
and `ref_doc_id`), and each metadata field as text. The prefix is `llama_index/vector`, if the app gave none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from chatstore.models import Document, JsonObject, JsonValue
from chatstore.redis.layouts.fields import BadFieldError, object_of
from chatstore.redis.layouts.hash_values import hash_text, is_binary
from chatstore.redis.layouts.indexed import IndexedDocuments, JsonField
from chatstore.redis.layouts.layout import Sample
from chatstore.redis.layouts.spelling import PYTHON, PYTHON_UNICODE, ordered, same_json

_NODE = "_node_content"
_TYPE = "_node_type"
_METADATA = "metadata"
_SOURCE = "1"
_PARENTS = ("doc_id", "document_id", "ref_doc_id")
_TEXT_NODE = "TextNode"
_SPELLING, _ASCII, _RAW = "chatstore:spelling", "ascii", "chatstore:raw"
_NEW_NODE: JsonObject = {
    "id_": "",
    "embedding": None,
    "metadata": None,
    "excluded_embed_metadata_keys": [],
    "excluded_llm_metadata_keys": [],
    "relationships": {},
    "metadata_template": "{key}: {value}",
    "metadata_separator": "\n",
    "text": "",
    "mimetype": "text/plain",
    "start_char_idx": None,
    "end_char_idx": None,
    "text_template": "{metadata_str}\n\n{content}",
    "class_name": _TEXT_NODE,
}


class LlamaindexDocuments(IndexedDocuments):
    """Nodes in one hash each, with the node as JSON beside copies of its metadata.

    In `extra`, `_node_content` is the node; in the place of its metadata is the order in which they were written.
    """

    name: ClassVar[str] = "llamaindex"
    prefix = b"llama_index/vector_"
    content = "text"
    vector = "vector"
    separator: ClassVar[str] = "_"
    own_fields: ClassVar[frozenset[str]] = frozenset({_NODE, _TYPE, "id", *_PARENTS})
    json_fields: ClassVar[tuple[JsonField, ...]] = (JsonField(_NODE, (_METADATA,)),)
    notes = ("LlamaIndex stores no title, URL, user or time of a node.",)

    @property
    def marks(self) -> tuple[str, ...]:
        return (*super().marks, _NODE)

    def prefix_of(self, index: str) -> str:
        return f"{index}/vector_"

    def fits(self, names: frozenset[str], sample: Sample) -> bool:
        return sample.kind == "hash" and {_NODE, "id"} <= names

    def decode(self, values: dict[str, JsonValue]) -> tuple[JsonObject, dict[str, JsonValue]]:
        raw = values.pop(_NODE, None)
        if raw is None:
            return self._without_node(values)
        if not isinstance(raw, str):
            raise BadFieldError(f"{_NODE} is not UTF-8")
        node = object_of(raw.encode(), _NODE)
        metadata = node.get(_METADATA)
        if not isinstance(metadata, dict):
            raise BadFieldError(f"{_NODE} has no metadata")
        extra: dict[str, JsonValue] = {_NODE: _remembered(raw, node, metadata)}
        return metadata, {**extra, **_beside(values, self._derived(node, metadata))}

    def encode(self, document: Document, extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
        others = {name: value for name, value in extra.items() if isinstance(value, str) or is_binary(value)}
        if _NODE in extra and extra[_NODE] is None:
            return {**{name: hash_text(value) for name, value in document.metadata.items()}, **others}
        held = extra.get(_NODE)
        node = dict(held) if isinstance(held, Mapping) else {**_NEW_NODE, "id_": document.id}
        text = _text(node, document.metadata)
        derived = self._derived(object_of(text.encode(), _NODE), document.metadata)
        kept = {name: value for name, value in derived.items() if extra.get(name, "") is not None}
        return {**kept, _NODE: text, **others}

    def _derived(self, node: JsonObject, metadata: JsonObject) -> dict[str, JsonValue]:
        """Return the fields that the framework writes beside the node, as it does."""
        copies = {
            name: hash_text(value)
            for name, value in metadata.items()
            if isinstance(value, str | int | float) and not isinstance(value, bool)
        }
        parent = _parent(node)
        return {
            "id": node.get("id_"),
            **{name: text for name, text in copies.items() if name not in {self.content, self.vector}},
            _TYPE: node.get("class_name"),
            **dict.fromkeys(_PARENTS, parent),
        }

    def _without_node(self, values: dict[str, JsonValue]) -> tuple[JsonObject, dict[str, JsonValue]]:
        """Return what a hash says that only older versions, or other programs, wrote."""
        extra = {name: value for name, value in values.items() if name in self.own_fields or is_binary(value)}
        metadata = {name: self.typed(name, value) for name, value in values.items() if name not in extra}
        return metadata, {_NODE: None, **extra}


def _beside(values: dict[str, JsonValue], derived: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the fields that are not as they were derived: None for those that are not there."""
    found = dict(values)
    for name, value in derived.items():
        if name in found and found[name] == value:
            del found[name]
        else:
            found.setdefault(name, None)
    return found


def _parent(node: JsonObject) -> str:
    relationships = node.get("relationships")
    source = relationships.get(_SOURCE) if isinstance(relationships, Mapping) else None
    parent = source.get("node_id") if isinstance(source, Mapping) else None
    return parent if isinstance(parent, str) and parent else "None"


def _remembered(raw: str, node: JsonObject, metadata: JsonObject) -> JsonValue:
    """Return a node for `extra`: without its metadata, but so that `_text` writes it again letter by letter."""
    names: JsonValue = list(metadata) if list(metadata) != sorted(metadata) else None
    for spelling in ({}, {_SPELLING: _ASCII}):
        held: JsonObject = {**node, _METADATA: names, **spelling}
        if not {_SPELLING, _RAW} & node.keys() and _text(held, metadata) == raw:
            return held
    return {_RAW: raw}


def _text(held: JsonObject, metadata: JsonObject) -> str:
    """Return a node's JSON with these metadata."""
    raw = held.get(_RAW)
    if isinstance(raw, str):
        node = object_of(raw.encode(), _NODE)
        if same_json(node.get(_METADATA), metadata):
            return raw
        held = {**node, _METADATA: None}
    spelling = PYTHON if held.get(_SPELLING) == _ASCII else PYTHON_UNICODE
    node = {name: value for name, value in held.items() if name != _SPELLING}
    node[_METADATA] = ordered(metadata, held.get(_METADATA))
    return spelling.text(node, list(node))

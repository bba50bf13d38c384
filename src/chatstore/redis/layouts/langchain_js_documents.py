"""The layout `langchain-js` of documents: what the two vector stores of @langchain/redis write.

`doc:{index}:{id}` is a hash with `content`, `content_vector` and `metadata`: JSON with a backslash before each `-`, `:`
and `"`, for the search. With a schema of the app's own, a `metadata.{field}` for each field of that beside it. Ids are
numbers, counted from 0, if the app gave none. The fluent store writes no `metadata`: each field of its schema is a
field of the hash.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from chatstore.models import Document, JsonObject, JsonValue
from chatstore.redis.layouts.fields import BadFieldError, object_of
from chatstore.redis.layouts.hash_values import is_binary
from chatstore.redis.layouts.indexed import IndexedDocuments, JsonField
from chatstore.redis.layouts.layout import Sample
from chatstore.redis.layouts.spelling import JAVASCRIPT, Hint, same_json

_METADATA = "metadata"
_AS = "as"
_EXACT_FLOAT = 1e21


class LangchainJsDocuments(IndexedDocuments):
    """Documents in one hash each, their metadata as JSON with backslashes."""

    name: ClassVar[str] = "langchain-js"
    prefix = b"doc:"
    separator: ClassVar[str] = ""
    own_fields: ClassVar[frozenset[str]] = frozenset({_METADATA})
    json_fields: ClassVar[tuple[JsonField, ...]] = (JsonField(_METADATA, escaped=True),)
    notes = ("LangChain.js stores no title, URL, user or time of a document.",)

    def fits(self, names: frozenset[str], sample: Sample) -> bool:
        raw = sample.fields.get(_METADATA, b"")
        return sample.kind == "hash" and {"content", "content_vector"} <= names and raw.startswith((b'{\\"', b"{}"))

    def decode(self, values: dict[str, JsonValue]) -> tuple[JsonObject, dict[str, JsonValue]]:
        extra: dict[str, JsonValue] = {}
        raw = values.pop(_METADATA, None)
        if raw is None:
            if not self._is_fluent:
                extra[_METADATA] = None
            return self._loose(values, extra)
        if not isinstance(raw, str):
            raise BadFieldError(f"{_METADATA} is not UTF-8")
        metadata, hint = _read(raw)
        if hint is None and self._is_fluent:
            hint = list(metadata)
        if hint is not None:
            extra[_METADATA] = hint
        for name, value in self._copies(metadata).items():
            if name in values and same_json(values[name], value):
                del values[name]
            else:
                values.setdefault(name, None)
        return metadata, {**extra, **values}

    def encode(self, document: Document, extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
        hint = extra.get(_METADATA)
        others = {
            name: value
            for name, value in extra.items()
            if name != _METADATA and (isinstance(value, str) or is_binary(value))
        }
        if hint is None and (_METADATA in extra or self._is_fluent):
            fields: dict[str, JsonValue] = {
                name: text
                for name, value in document.metadata.items()
                if (text := _text(value, self._tags(name))) is not None
            }
            return {**fields, **{name: value for name, value in others.items() if is_binary(value)}}
        copies = self._copies(document.metadata)
        kept = {name: value for name, value in copies.items() if extra.get(name, "") is not None}
        return {_METADATA: _written(document.metadata, hint), **kept, **others}

    @property
    def _is_fluent(self) -> bool:
        return self.schema is not None and _METADATA not in self.schema.fields

    def _tags(self, name: str) -> str:
        one = self.schema.fields.get(name) if self.schema is not None else None
        return one.separator if one is not None else ","

    def _loose(
        self, values: dict[str, JsonValue], extra: dict[str, JsonValue]
    ) -> tuple[JsonObject, dict[str, JsonValue]]:
        binary = {name: value for name, value in values.items() if is_binary(value)}
        metadata = {name: self._typed_as_written(name, value) for name, value in values.items() if name not in binary}
        return metadata, {**extra, **binary}

    def _typed_as_written(self, name: str, value: JsonValue) -> JsonValue:
        typed = self.typed(name, value)
        return typed if _text(typed, self._tags(name)) == value else value

    def _copies(self, metadata: JsonObject) -> dict[str, JsonValue]:
        """Return the fields beside the JSON that the app's schema asks for."""
        copies: dict[str, JsonValue] = {}
        for name in self.schema.fields if self.schema is not None else ():
            field = name.removeprefix(f"{_METADATA}.")
            text = _text(metadata.get(field), self._tags(name))
            if field != name and text is not None:
                copies[name] = text
        return copies


def _text(value: JsonValue, separator: str) -> str | None:
    """Return how JavaScript's client writes a value into a hash's field; None for what it would not take."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return separator.join(map(str, value)) if all(isinstance(item, str) for item in value) else None
    if value is None or isinstance(value, bool | Mapping):
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOAT:
        return str(int(value))
    return repr(value)


def _read(raw: str) -> tuple[JsonObject, Hint]:
    """Return the metadata of a text with backslashes, and what to remember of it."""
    plain = re.sub(r'\\([-:"])', r"\1", raw)
    try:
        metadata = object_of(plain.encode(), _METADATA)
    except BadFieldError:
        # Another program may have written it, which knows nothing of the backslashes.
        return object_of(raw.encode(), _METADATA), {_AS: raw}
    if _escaped(plain) != raw:
        return metadata, {_AS: raw}
    return metadata, JAVASCRIPT.hint(plain, metadata)


def _written(metadata: JsonObject, hint: Hint) -> str:
    if isinstance(hint, Mapping):
        raw = hint.get(_AS)
        if isinstance(raw, str) and _says(raw, metadata):
            return raw
        return _escaped(JAVASCRIPT.text(metadata))
    return _escaped(JAVASCRIPT.text(metadata, hint))


def _says(raw: str, metadata: JsonObject) -> bool:
    try:
        return same_json(_read(raw)[0], metadata)
    except (BadFieldError, UnicodeEncodeError):
        return False


def _escaped(text: str) -> str:
    return re.sub(r'[-:"]', r"\\\g<0>", text)

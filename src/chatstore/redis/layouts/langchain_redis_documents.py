"""The layout `langchain-redis` of documents: what `RedisVectorStore` of the package langchain-redis 0.2 writes.

`{prefix}:{id}` is a hash, or a RedisJSON document, with `text`, `embedding`, `_index_name`, `_metadata_json` (the
metadata, as JSON) and a copy of each metadata field for the index: in a hash as text, lists of texts joined by `|`. The
prefix is the index's name, if the app gave none; ids are ULIDs, if the app gave none. Keys of older versions have two
colons: then the prefix ends with two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from chatstore.errors import ConfigurationError
from chatstore.models import Document, JsonObject, JsonValue
from chatstore.models.ownership import Owners
from chatstore.redis.client import Client
from chatstore.redis.layouts.fields import BadFieldError, object_of
from chatstore.redis.layouts.hash_values import hash_text, is_binary
from chatstore.redis.layouts.indexed import IndexedDocuments, JsonField
from chatstore.redis.layouts.layout import Sample
from chatstore.redis.layouts.redis_json import as_redis_reads
from chatstore.redis.layouts.spelling import PYTHON, ordered, same_json

_METADATA = "_metadata_json"
_INDEX = "_index_name"
_NULLS = "chatstore:null"
"""The name in `extra` under which members of a JSON document that are null are listed."""

_SEPARATOR = "|"


class LangchainRedisDocuments(IndexedDocuments):
    """Documents in one hash or RedisJSON document each, their metadata as JSON beside copies of its fields."""

    name: ClassVar[str] = "langchain-redis"
    prefix = b""
    content = "text"
    vector = "embedding"
    own_fields: ClassVar[frozenset[str]] = frozenset({_METADATA, _INDEX})
    json_fields: ClassVar[tuple[JsonField, ...]] = (JsonField(_METADATA),)
    notes = ("langchain-redis stores no title, URL, user or time of a document; a ULID as id tells when it was made.",)

    def __init__(self, *, prefix: str | None = None, index: str | None = None, owners: Owners | None = None) -> None:
        if index is None and prefix is not None:
            index = prefix.rstrip(":") or None
        super().__init__(prefix=prefix, index=index, owners=owners)

    @property
    def marks(self) -> tuple[str, ...]:
        return (*super().marks, _METADATA, _INDEX)

    def prefix_of(self, index: str) -> str:
        return f"{index}:"

    async def prepare(self, client: Client) -> None:
        if not self.prefix:
            raise ConfigurationError(
                "the layout langchain-redis has no names of its own: set CHATSTORE_DOCUMENT_INDEX to the index_name "
                "that the app gives its RedisVectorStore (and CHATSTORE_DOCUMENT_PREFIX, if it gives a key_prefix, to "
                "`{key_prefix}:`)"
            )
        await super().prepare(client)

    def fits(self, names: frozenset[str], sample: Sample) -> bool:  # noqa: ARG002 - the names say it
        return _METADATA in names or (_INDEX in names and self.vector in names)

    def decode(self, values: dict[str, JsonValue]) -> tuple[JsonObject, dict[str, JsonValue]]:
        extra: dict[str, JsonValue] = {}
        if values.get(_INDEX) == self.index and self._covers(_INDEX):
            del values[_INDEX]
        elif _INDEX not in values and self._covers(_INDEX):
            extra[_INDEX] = None
        raw = values.pop(_METADATA, None)
        if raw is None:
            if self._covers(_METADATA):
                extra[_METADATA] = None
            return self._loose(values, extra)
        if not isinstance(raw, str):
            raise BadFieldError(f"{_METADATA} is no text")
        metadata = object_of(raw.encode(), _METADATA)
        hint = PYTHON.hint(raw, metadata)
        if hint is None and not self._covers(_METADATA):
            hint = list(metadata)
        if hint is not None:
            extra[_METADATA] = hint
        nulls = sorted(name for name, value in values.items() if value is None)
        if nulls:
            extra[_NULLS] = list(nulls)
        copies = self._copies(metadata)
        for name, value in copies.items():
            if name in values and same_json(values[name], value):
                del values[name]
            else:
                values.setdefault(name, None)
        return metadata, {**extra, **values}

    def encode(self, document: Document, extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
        own: dict[str, JsonValue] = {}
        if extra.get(_INDEX) is not None or (_INDEX not in extra and self._covers(_INDEX)):
            own[_INDEX] = extra.get(_INDEX, self.index)
        taken = {_INDEX, _METADATA}
        others: dict[str, JsonValue] = {
            name: value for name, value in extra.items() if name not in taken and value is not None
        }
        if not self.is_json:
            others = {name: value for name, value in others.items() if isinstance(value, str) or is_binary(value)}
        nulls = extra.get(_NULLS)
        if self.is_json and isinstance(nulls, list):
            absent: dict[str, JsonValue] = dict.fromkeys(map(str, nulls))
            others = {**absent, **{name: value for name, value in others.items() if name != _NULLS}}
        hint = extra.get(_METADATA)
        if hint is None and (_METADATA in extra or not self._covers(_METADATA)):
            return {**own, **self._fields(document.metadata), **others}
        text = PYTHON.text(document.metadata, hint)
        copies = self._copies(document.metadata)
        order = [
            name for name in object_of(text.encode(), _METADATA) if name in copies and extra.get(name, "") is not None
        ]
        return {**own, _METADATA: text, **{name: copies[name] for name in order}, **others}

    def _fields(self, metadata: JsonObject) -> dict[str, JsonValue]:
        """Return metadata as fields of their own, where there is no place for them as JSON."""
        if self.is_json:
            return ordered(metadata)
        return {name: hash_text(value, _SEPARATOR) for name, value in metadata.items()}

    def _covers(self, name: str) -> bool:
        """Return whether the framework writes one of its own fields: where the app brought a schema, if that has it."""
        return self.schema is None or name in self.schema.fields

    def _loose(
        self, values: dict[str, JsonValue], extra: dict[str, JsonValue]
    ) -> tuple[JsonObject, dict[str, JsonValue]]:
        """Return metadata that lie in fields of their own only, where an app's schema has no place for the JSON."""
        metadata: dict[str, JsonValue] = {}
        for name, value in values.items():
            if name.startswith("_") or is_binary(value):
                extra[name] = value
            else:
                metadata[name] = self.typed(name, value)
        return metadata, extra

    def _copies(self, metadata: JsonObject) -> dict[str, JsonValue]:
        """Return the fields that the framework copies from the metadata, as it writes them."""
        taken = {self.content, self.vector, _METADATA, _INDEX}
        copies: dict[str, JsonValue] = {}
        for name, value in metadata.items():
            if value is None or name in taken:
                continue
            if isinstance(value, list | tuple):
                if all(isinstance(item, str) for item in value):
                    copies[name] = _SEPARATOR.join(map(str, value))
            elif self.is_json:
                copies[name] = as_redis_reads(value)
            elif not isinstance(value, Mapping | bool):
                copies[name] = hash_text(value)
        return copies

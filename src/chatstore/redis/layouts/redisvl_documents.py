"""The layout `redisvl` of documents: what lies under a search index of redisvl, or of an app that made its own.

The index says it all (`FT.INFO`): whether the documents are hashes or RedisJSON, what their keys begin with, which
field has the embedding, in which type of numbers and how many, and which have text and numbers. The text is the index's
TEXT field called `content`, `text`, `page_content`, `body` or `chunk`, else its first; all other fields are metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from chatstore.errors import ConfigurationError
from chatstore.models import Document, JsonObject, JsonValue
from chatstore.redis.client import Client
from chatstore.redis.layouts.hash_values import hash_text, is_binary
from chatstore.redis.layouts.indexed import IndexedDocuments
from chatstore.redis.layouts.layout import Sample
from chatstore.redis.layouts.search_index import SearchIndex
from chatstore.redis.layouts.spelling import ordered

_MANY_BYTES = 8


class RedisvlDocuments(IndexedDocuments):
    """Documents in one hash or RedisJSON document each, as a search index says."""

    name: ClassVar[str] = "redisvl"
    needs_modules: ClassVar[bool] = True
    prefix = b""
    content = ""
    vector = ""

    @property
    def notes(self) -> tuple[str, ...]:  # type: ignore[override] # known after `prepare`
        """What the index has no place for."""
        notes = ("A search index of the app's own has no place for a title, URL, user or time of chatstore's.",)
        types = "A hash stores no types of metadata: what the index has as NUMERIC is a number, all else is text."
        return notes if self.is_json else (*notes, types)

    async def prepare(self, client: Client) -> None:
        if self.index is None:
            raise ConfigurationError(
                "the layout redisvl reads a search index, and which one it does not know: set CHATSTORE_DOCUMENT_INDEX"
            )
        await super().prepare(client)
        if self.schema is None:
            raise ConfigurationError(
                f"there is no search index {self.index!r} on this Redis server, or it has no search at all: let "
                f"the app make it first, or correct CHATSTORE_DOCUMENT_INDEX"
            )

    def take(self, schema: SearchIndex, keys: Sequence[bytes] = ()) -> None:
        super().take(schema, keys)
        for name in (self.vector, self.content):
            if schema.is_json and any(letter in name for letter in ".[$*"):
                raise ConfigurationError(
                    f"the search index {schema.name!r} reads the field {name!r} from within another one: chatstore "
                    f"reads text and embeddings at the top of a JSON document only"
                )

    def fits(self, names: frozenset[str], sample: Sample) -> bool:
        if self.schema is not None:
            return sample.kind == self.kind and bool(names & set(self.marks))
        if sample.kind == "hash":
            return any(len(value) >= _MANY_BYTES and not _is_text(value) for value in sample.fields.values())
        return sample.kind == "ReJSON-RL" and b":[" in sample.fields.get("", b"")

    def decode(self, values: dict[str, JsonValue]) -> tuple[JsonObject, dict[str, JsonValue]]:
        if self.is_json:
            return values, {}
        extra = {name: value for name, value in values.items() if is_binary(value)}
        return {name: self.typed(name, value) for name, value in values.items() if name not in extra}, extra

    def encode(self, document: Document, extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if self.is_json:
            return ordered(document.metadata)
        binary = {name: value for name, value in extra.items() if is_binary(value)}
        return {**{name: hash_text(value) for name, value in document.metadata.items()}, **binary}


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True

"""The layout `langchain` of documents: what the `Redis` vector store of the package langchain-community writes.

`doc:{index}:{id}` is a hash with `content`, `content_vector` and each metadata field as text; ids are UUIDs in
hexadecimal, if the app gave none. The types of the metadata are not there. What the index has as NUMERIC, and is
written as a number is, is a number here too; all else is text, a list of tags with commas between them also.
"""

from __future__ import annotations

from typing import ClassVar

from chatstore.models import Document, JsonObject, JsonValue
from chatstore.redis.layouts.hash_values import hash_text, is_binary
from chatstore.redis.layouts.indexed import IndexedDocuments
from chatstore.redis.layouts.layout import Sample


class LangchainDocuments(IndexedDocuments):
    """Documents in one hash each, each metadata field in a field of its own."""

    name: ClassVar[str] = "langchain"
    prefix = b"doc:"
    notes = (
        "LangChain stores no title, URL, user or time of a document.",
        "LangChain stores no types of metadata: what the search index has as NUMERIC is a number, all else is text.",
    )

    def fits(self, names: frozenset[str], sample: Sample) -> bool:
        others = {"_node_content", "_metadata_json"}
        return (
            sample.kind == "hash"
            and {"content", "content_vector"} <= names
            and not names & others
            and not sample.fields.get("metadata", b"").startswith(b"{")
        )

    def decode(self, values: dict[str, JsonValue]) -> tuple[JsonObject, dict[str, JsonValue]]:
        extra = {name: value for name, value in values.items() if is_binary(value)}
        return {name: self.typed(name, value) for name, value in values.items() if name not in extra}, extra

    def encode(self, document: Document, extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
        binary = {name: value for name, value in extra.items() if is_binary(value)}
        return {**{name: hash_text(value) for name, value in document.metadata.items()}, **binary}

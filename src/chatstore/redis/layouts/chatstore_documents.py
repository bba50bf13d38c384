"""The layout `chatstore` of documents, for new apps: one hash a document, its embedding as float32 bytes.

`chatstore:documents:chatstore:document:{id}` holds user, text, title, url, metadata and extra (JSON), embedding
(float32, little-endian), created and updated (microseconds): a search module's index can be laid over it.
"""

from __future__ import annotations

from typing import ClassVar

from chatstore.models import Document, Embedding, JsonObject
from chatstore.redis.layouts.fields import BadFieldError, json_of, object_of, text_of
from chatstore.redis.layouts.layout import DocumentLayout, DocumentValues, Encoded, Fields, Sample

_FLOAT32 = 4


class ChatstoreDocuments(DocumentLayout):
    """Documents in one hash each, their embeddings as bytes."""

    name: ClassVar[str] = "chatstore"
    prefix = b"chatstore:documents:chatstore:document:"
    shared: ClassVar[bool] = False
    owned: ClassVar[bool] = True
    search_fields = ("embedding", "metadata", "title", "url")

    def claims(self, sample: Sample) -> str | None:
        return "document" if sample.kind == "hash" and sample.key.startswith(self.prefix) else None

    def write_document(self, document: Document) -> Encoded:
        fields = {
            "user": document.user_id.encode(),
            "text": document.text.encode(),
            "title": document.title.encode(),
            "url": document.url.encode(),
            "metadata": json_of(document.metadata),
        }
        if document.embedding is not None:
            fields["embedding"] = document.embedding.data
        if document.extra:
            fields["extra"] = json_of(document.extra)
        return Encoded(fields)

    def read_document(self, fields: Fields, rest: bytes) -> DocumentValues:
        return DocumentValues(
            text=text_of(fields, "text"),
            embedding=self.read_vector(fields, rest),
            title=text_of(fields, "title"),
            url=text_of(fields, "url"),
            metadata=object_of(fields.get("metadata", b""), "metadata"),
            extra=object_of(fields.get("extra", b""), "extra"),
        )

    def read_searched(self, fields: Fields, rest: bytes) -> JsonObject:  # noqa: ARG002 - all is in the fields
        metadata = object_of(fields.get("metadata", b""), "metadata")
        return {**metadata, "title": text_of(fields, "title"), "url": text_of(fields, "url")}

    def read_vector(self, fields: Fields, rest: bytes) -> Embedding | None:  # noqa: ARG002 - all is in the fields
        data = fields.get("embedding")
        if data is None:
            return None
        if not data or len(data) % _FLOAT32:
            raise BadFieldError(f"embedding has {len(data)} bytes: no float32 vector")
        return Embedding(data)

    lua = r"""
local layout = { lost_digits = 0, says_owner = true }

function layout.load(keys)
  local key = keys.document
  local fields, wrong = hash_at(key)
  if wrong then
    return nil, wrong
  elseif #fields == 0 then
    return nil
  end
  local owner, created, updated = field_of(fields, 'user'), field_of(fields, 'created'), field_of(fields, 'updated')
  if not owner or not tonumber(created) or not tonumber(updated) then
    return nil, problem(key, 'it has no user, created or updated', table.concat(fields, '\n'), owner)
  end
  return { owner = owner, fields = fields, created = created, updated = updated, expires = expiry_of(key) }
end

function layout.times(created, updated)
  return { 'created', created, 'updated', updated }
end
"""

"""The layout `hash` of documents: `document:{id}`, a hash as web apps write it.

It has title, content, url, userId, embedding (a JSON array of numbers), metadata (JSON), createdAt and updatedAt
(milliseconds). The app reads and writes it beside us, so no field of ours is in it. Fields that are not named
here are `extra`, as text.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import orjson

from chatstore.models import Document, Embedding, JsonObject
from chatstore.redis.layouts.fields import embedding_of, join_extra, json_of, object_of, split_extra, text_of
from chatstore.redis.layouts.layout import DocumentLayout, DocumentValues, Encoded, Fields, Sample

_NAMES = frozenset({"title", "content", "url", "userId", "embedding", "metadata", "createdAt", "updatedAt"})


class HashDocuments(DocumentLayout):
    """Documents in one hash each, their embeddings as JSON."""

    name: ClassVar[str] = "hash"
    prefix = b"document:"
    shared: ClassVar[bool] = True
    owned: ClassVar[bool] = True
    search_fields = ("embedding", "metadata", "title", "url")
    peek: ClassVar[tuple[str, str, str]] = ("userId", "createdAt", "updatedAt")

    def claims(self, sample: Sample) -> str | None:
        names = sample.fields.keys()
        fits = sample.kind == "hash" and sample.key.startswith(self.prefix) and {"userId", "content"} <= names
        # Under another name many things have a user and a content: a message, a comment.
        is_named = sample.key.startswith(HashDocuments.prefix) and not names & {"role", "sessionId"}
        return "document" if fits and (is_named or "embedding" in names) else None

    def write_document(self, document: Document) -> Encoded:
        fields, rest = split_extra(document.extra, _NAMES)
        fields |= {
            "userId": document.user_id.encode(),
            "title": document.title.encode(),
            "content": document.text.encode(),
            "url": document.url.encode(),
            "metadata": json_of(document.metadata),
        }
        if document.embedding is not None:
            fields["embedding"] = _json_of(document.embedding)
        return Encoded(fields, rest)

    def read_document(self, fields: Fields, rest: bytes) -> DocumentValues:
        return DocumentValues(
            text=text_of(fields, "content"),
            embedding=self.read_vector(fields, rest),
            title=text_of(fields, "title"),
            url=text_of(fields, "url"),
            metadata=object_of(fields.get("metadata", b""), "metadata"),
            extra=join_extra(fields, rest, _NAMES),
        )

    def read_searched(self, fields: Fields, rest: bytes) -> JsonObject:  # noqa: ARG002 - all is in the fields
        metadata = object_of(fields.get("metadata", b""), "metadata")
        return {**metadata, "title": text_of(fields, "title"), "url": text_of(fields, "url")}

    def read_vector(self, fields: Fields, rest: bytes) -> Embedding | None:  # noqa: ARG002 - all is in the fields
        return embedding_of(fields.get("embedding", b""), "embedding")

    lua = r"""
local layout = { lost_digits = 3, says_owner = true }

function layout.load(keys)
  local key = keys.document
  local fields, wrong = hash_at(key)
  if wrong then
    return nil, wrong
  elseif #fields == 0 then
    return nil
  end
  local held = { owner = field_of(fields, 'userId') or '', fields = fields, expires = expiry_of(key) }
  local created, updated = field_of(fields, 'createdAt') or '', field_of(fields, 'updatedAt') or ''
  held.created = micros_of_millis(created ~= '' and created or updated)
  held.updated = micros_of_millis(updated ~= '' and updated or created)
  if not held.created or not held.updated then
    local reason = 'createdAt or updatedAt is no time that could not be another'
    return nil, problem(key, reason, table.concat(fields, '\n'), held.owner)
  end
  return held
end

function layout.times(created, updated)
  return { 'createdAt', millis_of(created), 'updatedAt', millis_of(updated) }
end
"""


def _json_of(embedding: Embedding) -> bytes:
    # The shortest text of each float32, which reads back as the same float32.
    return orjson.dumps(np.frombuffer(embedding.data, "<f4").astype(np.float32), option=orjson.OPT_SERIALIZE_NUMPY)

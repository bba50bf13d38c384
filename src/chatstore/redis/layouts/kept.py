"""What a document has and its fields do not say: kept in the ledger, for as long as nobody else writes the fields.

Each part is kept with a digest of what the fields say instead, so that it counts only as long as they still say that.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chatstore.models import Document, Embedding, JsonObject, JsonValue
from chatstore.redis.layouts.fields import json_of, object_of
from chatstore.redis.layouts.layout import DocumentValues
from chatstore.redis.layouts.spelling import same_json


def to_keep(document: Document, said: DocumentValues) -> bytes:
    """Return what the ledger has to keep of a document whose fields say this."""
    kept: dict[str, JsonValue] = {
        name: value for name, value in (("title", document.title), ("url", document.url)) if value
    }
    if not same_json(said.metadata, document.metadata):
        kept["metadata"] = [_digest(said.metadata), document.metadata]
    if not same_json(said.extra, document.extra):
        kept["extra"] = [_digest(said.extra), document.extra]
    if said.embedding != document.embedding and document.embedding is not None:
        kept["embedding"] = [_digest_of_vector(said.embedding), base64.b64encode(document.embedding.data).decode()]
    return json_of(kept) if kept else b""


def with_kept(
    said: DocumentValues, rest: bytes, *, is_ours: bool | None = None, has_our_vector: bool | None = None
) -> DocumentValues:
    """Return what the fields say, with what the ledger keeps.

    Args:
        said: What the fields say.
        rest: What `to_keep` returned when they were written.
        is_ours: Whether they are as we wrote them, where something else than the digests tells that.
        has_our_vector: The same of the embedding alone.

    Raises:
        BadFieldError: `rest` is no JSON: another program wrote into the ledger.
    """
    if not rest:
        return said
    kept: dict[str, Any] = dict(object_of(rest, "what the ledger keeps"))

    def counts(name: str, digest: Callable[[], str], told: bool | None) -> bool:  # noqa: FBT001 - here below only
        return name in kept and (told if told is not None else kept[name][0] == digest())

    metadata, extra, embedding = said.metadata, said.extra, said.embedding
    if counts("metadata", lambda: _digest(said.metadata), is_ours):
        metadata = kept["metadata"][1]
    if counts("extra", lambda: _digest(said.extra), is_ours):
        extra = kept["extra"][1]
    if counts("embedding", lambda: _digest_of_vector(said.embedding), has_our_vector):
        embedding = Embedding(base64.b64decode(kept["embedding"][1]))
    return replace(
        said,
        title=kept.get("title", said.title),
        url=kept.get("url", said.url),
        metadata=metadata,
        extra=extra,
        embedding=embedding,
    )


def _digest(value: JsonObject) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True, default=dict).encode(), digest_size=12).hexdigest()


def _digest_of_vector(embedding: Embedding | None) -> str:
    return "" if embedding is None else hashlib.blake2b(embedding.data, digest_size=12).hexdigest()

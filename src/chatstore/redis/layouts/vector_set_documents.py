"""The layout `vector-set` of documents: one vector set of Redis 8, whose elements are the documents.

The element's name is the id, its vector the embedding, and its attributes (a JSON object) are the metadata; their
member `text` is the text. The set may have a TTL, its elements have none of their own.

A set keeps a vector as a direction and a length, by default in 8 bits a number: what comes out of it is near what went
in, and no more. What chatstore wrote itself the ledger keeps exactly, for as long as nobody else writes the element.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import ClassVar

from redis.exceptions import RedisError, ResponseError

from chatstore.errors import ConfigurationError, InvalidRecordError
from chatstore.models import Document, Embedding, JsonObject, JsonValue
from chatstore.models.ownership import Owners
from chatstore.redis.client import Client, our_error
from chatstore.redis.layouts.fields import object_of
from chatstore.redis.layouts.kept import to_keep, with_kept
from chatstore.redis.layouts.layout import DocumentLayout, DocumentValues, Encoded, Fields, IdPage, Sample, space_named
from chatstore.redis.layouts.spelling import JAVASCRIPT
from chatstore.redis.layouts.vectors import embedding_of_texts
from chatstore.redis.scripts import lua_part

logger = logging.getLogger(__name__)

_TEXT = "text"
_ATTRIBUTES, _QUANTIZATION = "attributes", "quantization"
_PLAIN = "int8"
"""What a set has that was made by a plain `VADD`, as apps make theirs: another one would refuse it then."""
_INEXACT = "The set keeps an embedding {}: so it comes out, but for those that chatstore added."
_HOW = {
    "f32": "as a direction and a length, so that some of its numbers are one bit off",
    "int8": "in 8 bits a number, so that it is near the app's and not the same",
    "bin": "as the signs of its numbers alone",
}


class VectorSetDocuments(DocumentLayout):
    """Documents as the elements of a vector set. `prefix`, or else `index`, is the set's key."""

    name: ClassVar[str] = "vector-set"
    prefix = b""
    shared: ClassVar[bool] = True
    told: ClassVar[bool] = False
    needs_modules: ClassVar[bool] = True
    search_fields = ()
    kind = "vectorset"

    def __init__(self, *, prefix: str | None = None, index: str | None = None, owners: Owners | None = None) -> None:
        super().__init__(prefix=index if prefix is None else prefix, index=index, owners=owners)
        self._quantization = ""
        self._is_reduced = False

    @property
    def space(self) -> str:
        return space_named(self.name, self.prefix.decode())

    @property
    def notes(self) -> tuple[str, ...]:  # type: ignore[override] # known after `prepare`
        """What a vector set does not hold, and what it does not hold exactly."""
        notes = [
            "A vector set stores no title, URL, user or time; an element's text is the member `text` of its attributes."
        ]
        if self._quantization:
            notes.append(self._inexact)
        notes.append("The server does not tell what others write to a vector set: chatstore verify finds it.")
        return tuple(notes)

    @property
    def _inexact(self) -> str:
        how = _HOW.get(self._quantization, "in a way that is not known here")
        return _INEXACT.format(how + (", and with fewer numbers than it had (REDUCE)" if self._is_reduced else ""))

    @property
    def lua(self) -> str:  # type: ignore[override] # read from its files
        """The primitives of `document.lua`."""
        return lua_part("named_in_json") + lua_part("document_set")

    async def prepare(self, client: Client) -> None:
        if not self.prefix:
            raise ConfigurationError(
                "the layout vector-set does not know which set the documents are in: set CHATSTORE_DOCUMENT_INDEX to "
                "its key"
            )
        if self._quantization:
            return
        [info] = await client.ask_all([("EVAL", "return redis.pcall('VINFO', KEYS[1])", 1, self.prefix)])
        if isinstance(info, ResponseError):
            if "WRONGTYPE" in str(info):
                raise ConfigurationError(f"the key {self.prefix!r} is no vector set: correct CHATSTORE_DOCUMENT_INDEX")
            raise ConfigurationError(
                f"this Redis server has no vector sets, which the layout vector-set is of: it takes Redis 8 ({info})"
            )
        if isinstance(info, RedisError):
            raise our_error(info, client)
        if info and not self._quantization:  # another call may have asked meanwhile
            told = dict(zip(info[::2], info[1::2], strict=False))
            self._quantization = told.get(b"quant-type", b"").decode()
            self._is_reduced = bool(told.get(b"projection-input-dim"))
            logger.warning("the vector set %r: %s", self.prefix.decode("utf-8", "replace"), self._inexact)

    def key(self, document_id: bytes) -> bytes:  # noqa: ARG002 - one key for all
        return self.prefix

    def place(self, document_id: bytes) -> bytes:
        """Return the set's key and the element's name, with a colon between."""
        return b"%s:%s" % (self.prefix, document_id)

    async def walk(self, client: Client, cursor: str | None, wanted: int) -> AsyncIterator[IdPage]:
        """Yield the names of all elements, sorted.

        Before Redis 8.4, which has `VRANGE`, the server gives the names in one answer only.
        """
        behind = bytes.fromhex(cursor) if cursor else None
        [first] = await client.ask_all([_range(self.prefix, behind, wanted)])
        if isinstance(first, RedisError):
            async for page in self._walk_at_once(client, behind, wanted):
                yield page
            return
        while True:
            last = len(first) < wanted
            yield IdPage(first, None if last else first[-1].hex())
            if last:
                return
            first = await client.ask(*_range(self.prefix, first[-1], wanted))

    async def _walk_at_once(self, client: Client, behind: bytes | None, wanted: int) -> AsyncIterator[IdPage]:
        size = await client.ask("VCARD", self.prefix)
        # A few more may come in between.
        names = sorted(await client.ask("VRANDMEMBER", self.prefix, int(size) * 2 + wanted) if size else [])
        names = [name for name in names if behind is None or name > behind]
        for start in range(0, max(len(names), 1), wanted):
            part = names[start : start + wanted]
            is_last = start + wanted >= len(names)
            yield IdPage(part, None if is_last else part[-1].hex())

    def claims(self, sample: Sample) -> str | None:
        return "document" if sample.kind == self.kind and sample.key.startswith(self.prefix) else None

    def write_document(self, document: Document) -> Encoded:
        if document.embedding is None:
            raise InvalidRecordError(
                f"the document {document.id!r} has no embedding, and a vector set holds none without: embed it first"
            )
        attributes: dict[str, JsonValue] = dict(document.metadata)
        if document.text or isinstance(attributes.get(_TEXT), str):
            attributes[_TEXT] = document.text
        hint = document.extra.get(_ATTRIBUTES)
        text = "" if hint == "" and not attributes else JAVASCRIPT.text(attributes, hint)
        fields = {
            "vector": document.embedding.data,
            _ATTRIBUTES: text.encode(),
            _QUANTIZATION: str(document.extra.get(_QUANTIZATION) or _PLAIN).encode(),
        }
        # What the set is like may change until it is read: `extra` is kept in any case, and the embedding.
        said = replace(_said(fields[_ATTRIBUTES], None, _PLAIN), extra={"": None})
        return Encoded(fields, to_keep(document, said))

    def read_document(self, fields: Fields, rest: bytes) -> DocumentValues:
        quantization = fields.get(_QUANTIZATION, b"").decode()
        has_our_vector = "exact" in fields
        # The set makes a NaN of numbers near the greatest float32; what we added we need not ask it for.
        texts = [] if has_our_vector else fields.get("vector", b"").decode().split()
        embedding = None if has_our_vector else embedding_of_texts(texts, "vector")
        said = _said(fields.get(_ATTRIBUTES, b""), embedding, quantization)
        return with_kept(said, rest, is_ours="ours" in fields, has_our_vector=has_our_vector)

    def read_searched(self, fields: Fields, rest: bytes) -> JsonObject:
        found = self.read_document(fields, rest)
        return {**found.metadata, "title": found.title, "url": found.url}

    def read_vector(self, fields: Fields, rest: bytes) -> Embedding | None:
        return self.read_document(fields, rest).embedding


def _said(attributes: bytes, embedding: Embedding | None, quantization: str) -> DocumentValues:
    """Return what an element says; in `extra` how its attributes are written, and how the set keeps vectors."""
    extra: dict[str, JsonValue] = {} if quantization == _PLAIN else {_QUANTIZATION: quantization}
    if not attributes:
        return DocumentValues("", embedding, "", "", {}, {_ATTRIBUTES: "", **extra})
    metadata = object_of(attributes, _ATTRIBUTES)
    hint = JAVASCRIPT.hint(attributes.decode(), metadata)
    if hint is not None:
        extra[_ATTRIBUTES] = hint
    text = metadata.get(_TEXT)
    # An empty one stays: nothing else tells an element with an empty text from one without any.
    if isinstance(text, str) and text:
        metadata = {name: value for name, value in metadata.items() if name != _TEXT}
    return DocumentValues(text if isinstance(text, str) else "", embedding, "", "", metadata, extra)


def _range(key: bytes, behind: bytes | None, wanted: int) -> tuple[str, bytes, bytes, str, int]:
    return ("VRANGE", key, b"-" if behind is None else b"(" + behind, "+", wanted)

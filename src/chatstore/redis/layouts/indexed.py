"""What the layouts of frameworks with a search index have in common: where text and embedding lie, what is kept beside.

A document is a hash or a RedisJSON document. Here its fields become values (a hash has texts only) without the text and
the embedding, and a layout says what of them is metadata. What a document has and these fields do not say is noted in
the ledger, each together with a digest of what the fields say instead: so it holds for as long as nobody else writes
them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from chatstore.errors import ConfigurationError, InvalidRecordError
from chatstore.models import Document, Embedding, JsonObject, JsonValue, from_micros
from chatstore.models.ownership import Owners
from chatstore.redis.client import Client
from chatstore.redis.layouts.fields import BadFieldError, json_of, object_of
from chatstore.redis.layouts.fitting import fits_hash, unfit_members
from chatstore.redis.layouts.hash_values import bytes_of, number_of, value_of
from chatstore.redis.layouts.kept import to_keep, with_kept
from chatstore.redis.layouts.layout import DocumentLayout, DocumentValues, Encoded, Fields, Sample, space_named
from chatstore.redis.layouts.redis_json import written_for_redis
from chatstore.redis.layouts.search_index import SearchIndex, ask_for_index, ask_for_keys
from chatstore.redis.layouts.ulid import micros_of_ulid
from chatstore.redis.layouts.vectors import (
    NumberType,
    bytes_of_embedding,
    embedding_of_bytes,
    embedding_of_json,
    json_of_embedding,
)
from chatstore.redis.scripts import lua_part

_TEXTS = ("content", "text", "page_content", "body", "chunk")
"""What a field with a document's text is called, where the index has several and does not say which it is."""

_ORDER = "chatstore:order"
"""The name in `extra` under which the order of a JSON document's members is remembered."""

_SAMPLE = 1000
"""Of how many keys we look at what stands behind the prefix that the index has."""

_UNFIT = "chatstore:unindexed"
"""The name in `extra` under which those fields are listed that hold what the index does not take: the app wrote it."""

_NULL: JsonObject = {"json": None}
"""What stands in `extra` for a JSON document's text that is null; None stands for one that is not there."""


@dataclass(frozen=True, slots=True)
class JsonField:
    """A field of a hash with a JSON object.

    Attributes:
        name: The field's.
        path: Leads in it to the metadata.
        escaped: Whether the search's special letters have a backslash before them.
    """

    name: str
    path: tuple[str, ...] = ()
    escaped: bool = False


class IndexedDocuments(DocumentLayout):
    """Documents in a hash or a RedisJSON document each, under a search index.

    Attributes:
        content: The field with the text.
        vector: The field with the embedding.
        numbers: How the embedding's numbers are kept.
        dimension: How many numbers an embedding has; None when nobody says.
        is_json: Whether the documents are RedisJSON and not hashes.
        schema: What the server says of the index; None when it does not know one.
        separator: What stands between the prefix that the index has and the id.
        own_fields: Fields with text that is the framework's own.
        json_fields: Fields with JSON where the metadata are, for a mapping of owners.
    """

    shared: ClassVar[bool] = True
    search_fields = ()
    content: str = "content"
    vector: str = "content_vector"
    separator: ClassVar[str] = ":"
    own_fields: ClassVar[frozenset[str]] = frozenset()
    json_fields: ClassVar[tuple[JsonField, ...]] = ()

    def __init__(self, *, prefix: str | None = None, index: str | None = None, owners: Owners | None = None) -> None:
        super().__init__(prefix=prefix, index=index, owners=owners)
        if prefix is None and index is not None:
            self.prefix = self.prefix_of(index).encode()
        self.numbers = NumberType.FLOAT32
        self.dimension: int | None = None
        self.is_json = False
        self.schema: SearchIndex | None = None
        self._has_prefix = prefix is not None
        self._named = index if index is not None else prefix

    @property
    def space(self) -> str:
        return space_named(self.name, self._named)

    @property
    def kind(self) -> str:  # type: ignore[override] # known after `prepare`
        """The type of the documents' keys."""
        return "ReJSON-RL" if self.is_json else "hash"

    @property
    def marks(self) -> tuple[str, ...]:
        """Fields of which a document has one at least."""
        return (self.content, self.vector)

    @property
    def lua(self) -> str:  # type: ignore[override] # known after `prepare`
        """The primitives of `document.lua`, for this index."""
        constants = f"local MARKS = {{ {', '.join(map(_quoted, self.marks))} }}\n"
        constants += f"local OBJECTS = {{ {', '.join(map(_table, self.json_fields))} }}\n"
        constants += f"local TEXT, VECTOR = {_quoted(self.content)}, {_quoted(self.vector)}\n"
        return lua_part("named_in_json") + constants + lua_part("document_json" if self.is_json else "document_hash")

    def prefix_of(self, index: str) -> str:
        """Return what the keys begin with under an index of this name, if the framework chose it."""
        return f"doc:{index}:"

    async def prepare(self, client: Client) -> None:
        if self.schema is None and self.index is not None:
            schema = await ask_for_index(client, self.index)
            if schema is not None:
                keys = await ask_for_keys(client, self.index, _SAMPLE) if self._may_lack_separator(schema) else []
                self.take(schema, keys)
                self.schema = schema

    def _may_lack_separator(self, schema: SearchIndex) -> bool:
        """Return whether the index has a prefix behind which the framework puts a separator, and others may not."""
        return not self._has_prefix and any(not prefix.endswith(self.separator) for prefix in schema.prefixes if prefix)

    def take(self, schema: SearchIndex, keys: Sequence[bytes] = ()) -> None:
        """Take over what an index says.

        Args:
            schema: What it says.
            keys: Some that it covers: they tell whether the separator stands behind the prefix.

        Raises:
            ConfigurationError: It is no index that documents of this layout can lie under.
        """
        self.is_json = schema.is_json
        if not self._has_prefix and len(schema.prefixes) > 1:
            prefixes = ", ".join(map(repr, schema.prefixes))
            raise ConfigurationError(
                f"the search index {schema.name!r} covers keys of several prefixes, {prefixes}: chatstore takes one "
                "at a time; set CHATSTORE_DOCUMENT_PREFIX to it"
            )
        if not self._has_prefix and schema.prefixes and schema.prefixes[0]:
            found, separated = schema.prefixes[0].encode("utf-8", "surrogateescape"), self.separator.encode()
            with_it = found if found.endswith(separated) else found + separated
            self.prefix = with_it if all(key.startswith(with_it) for key in keys) else found
        vectors = schema.of_kind("VECTOR")
        if self.vector not in schema.fields and vectors:
            self.vector = vectors[0].name
        texts = [one.name for one in schema.of_kind("TEXT") if one.name not in self.own_fields]
        if self.content not in schema.fields and texts:
            self.content = next((name for name in _TEXTS if name in texts), texts[0])
        vector = schema.fields.get(self.vector)
        if vector is None or vector.kind != "VECTOR" or vector.numbers is None:
            raise ConfigurationError(
                f"the search index {schema.name!r} has no field with vectors of {', '.join(NumberType)}: give "
                f"CHATSTORE_DOCUMENT_INDEX the name of the one with the documents' embeddings"
            )
        self.numbers, self.dimension = vector.numbers, vector.dimension

    def born(self, document_id: bytes) -> int | None:
        return micros_of_ulid(document_id)

    def claims(self, sample: Sample) -> str | None:
        return "document" if sample.key.startswith(self.prefix) and self.fits(names_of(sample), sample) else None

    @abstractmethod
    def fits(self, names: frozenset[str], sample: Sample) -> bool:
        """Return whether a key's fields are those of this layout; `names` are theirs, or a JSON document's members."""

    @abstractmethod
    def decode(self, values: dict[str, JsonValue]) -> tuple[JsonObject, dict[str, JsonValue]]:
        """Return the metadata that some values say, and what else is to be carried along, as `extra`.

        What is no text in a hash is an object here, which goes to `extra` as it is.
        """

    @abstractmethod
    def encode(self, document: Document, extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """Return the values of a document without its text and embedding; `decode` undone as far as it can be."""

    def typed(self, name: str, value: JsonValue) -> JsonValue:
        """Return what a field of a hash says: a number, where the index has it for one and it is written as one."""
        one = self.schema.fields.get(name) if self.schema is not None else None
        return number_of(value) if one is not None and one.kind == "NUMERIC" and isinstance(value, str) else value

    def write_document(self, document: Document) -> Encoded:
        if document.embedding is not None and self.dimension not in {None, document.embedding.dimension}:
            raise InvalidRecordError(
                f"the embedding of the document {document.id!r} has {document.embedding.dimension} numbers, the index "
                f"{self.index!r} wants {self.dimension}"
            )
        extra = dict(document.extra)
        exact = extra.pop(self.vector, None)
        values = self._values(document, extra)
        if self.is_json:
            values = _ordered(self._with_array(document, values, exact), extra.get(_ORDER))
            text, given_back = written_for_redis(values)
            return Encoded({"": text.encode()}, to_keep(document, self._read({"": json_of(given_back)})))
        fields = {name: bytes_of(value) for name, value in values.items()}
        if document.embedding is not None:
            fields[self.vector] = bytes_of_embedding(document.embedding, self.numbers, exact)
        try:
            said = self._read(fields)
        except BadFieldError as error:
            # A number that is finite as float32 only.
            raise InvalidRecordError(f"the layout cannot hold the document {document.id!r}: {error}") from error
        return Encoded(fields, to_keep(document, said))

    def read_document(self, fields: Fields, rest: bytes) -> DocumentValues:
        return with_kept(self._read(fields), rest)

    def read_searched(self, fields: Fields, rest: bytes) -> JsonObject:
        found = self.read_document(fields, rest)
        return {**found.metadata, "title": found.title, "url": found.url}

    def read_vector(self, fields: Fields, rest: bytes) -> Embedding | None:
        return self.read_document(fields, rest).embedding

    def _read(self, fields: Fields) -> DocumentValues:
        """Return what the fields say by themselves."""
        values, embedding, exact = self._of_json(fields) if self.is_json else self._of_hash(fields)
        if embedding is not None and self.dimension not in {None, embedding.dimension}:
            raise BadFieldError(f"{self.vector} has {embedding.dimension} numbers, the index wants {self.dimension}")
        is_null = self.is_json and self.content in values
        text = values.pop(self.content, None)
        if text is not None and not isinstance(text, str):
            raise BadFieldError(f"{self.content} is no text")
        unfit = self._unfit(values)
        metadata, extra = self.decode(values)
        if unfit:
            extra[_UNFIT] = list(unfit)
        if text is None:
            extra[self.content] = dict(_NULL) if is_null else None
        if exact is not None:
            extra[self.vector] = exact
        said = DocumentValues(text=text or "", embedding=embedding, title="", url="", metadata=metadata, extra=extra)
        return self._with_order(said, fields) if self.is_json else said

    def _with_order(self, said: DocumentValues, fields: Fields) -> DocumentValues:
        """Return what a JSON document says, with the order of its members where we would write another one."""
        document = Document(
            id="",
            user_id="",
            text=said.text,
            embedding=said.embedding,
            metadata=said.metadata,
            created_at=from_micros(0),
            updated_at=from_micros(0),
            extra=said.extra,
        )
        extra = dict(said.extra)
        exact = extra.pop(self.vector, None)
        ours = list(self._with_array(document, self._values(document, extra), exact))
        theirs = list(object_of(fields.get("", b""), "the document"))
        return said if ours == theirs else replace(said, extra={**said.extra, _ORDER: list(theirs)})

    def _values(self, document: Document, extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """Return the values of a document, with its text in front and without its embedding.

        What the index does not take in a field is left out, as the document would not be found by its searches. But
        what an app wrote so comes back so.
        """
        told = extra.get(_UNFIT)
        listed = told if isinstance(told, list) else []
        hints = {_ORDER, _UNFIT} if isinstance(told, list) else {_ORDER}
        values = self.encode(document, {name: value for name, value in extra.items() if name not in hints})
        values.pop(self.vector, None)
        values.pop(self.content, None)
        for name in self._unfit(values):
            if name not in listed:
                del values[name]
        if not document.text and self.is_json and extra.get(self.content) == _NULL:
            return {self.content: None, **values}
        if document.text or extra.get(self.content, "") is not None:
            return {self.content: document.text, **values}
        return values

    def _unfit(self, values: Mapping[str, JsonValue]) -> list[str]:
        """Return the names of those values that the index does not take, sorted."""
        indexed = self.schema.fields.values() if self.schema is not None else ()
        own = {self.content, self.vector}
        if self.is_json:
            found = {unfit_members(one, values) for one in indexed if one.name not in own}
            return sorted(name for name in found if name is not None)
        present = (one for one in indexed if one.name in values and one.name not in own)
        return sorted(one.name for one in present if not fits_hash(one, bytes_of(values[one.name])))

    def _of_hash(self, fields: Fields) -> tuple[dict[str, JsonValue], Embedding | None, JsonValue]:
        raw = fields.get(self.vector, b"")
        embedding, exact = embedding_of_bytes(raw, self.numbers, self.vector)
        values = {name: value_of(value) for name, value in fields.items() if name != self.vector}
        if isinstance(values.get(self.content), Mapping):
            raise BadFieldError(f"{self.content} is not UTF-8")
        return values, embedding, None if exact is None else list(exact)

    def _of_json(self, fields: Fields) -> tuple[dict[str, JsonValue], Embedding | None, JsonValue]:
        values = dict(object_of(fields.get("", b""), "the document"))
        raw = values.pop(self.vector, None)
        embedding, exact = embedding_of_json(raw, self.vector)
        return values, embedding, exact

    def _with_array(self, document: Document, values: dict[str, JsonValue], exact: JsonValue) -> dict[str, JsonValue]:
        """Return values with the embedding behind the text, where the frameworks put it."""
        if document.embedding is None and exact != []:
            return values
        array = [] if document.embedding is None else json_of_embedding(document.embedding, exact)
        text = {name: value for name, value in values.items() if name == self.content}
        return {**text, self.vector: array, **values}


def _ordered(values: dict[str, JsonValue], order: JsonValue) -> dict[str, JsonValue]:
    names = [name for name in order if isinstance(name, str) and name in values] if isinstance(order, list) else []
    return {**{name: values[name] for name in names}, **values}


def names_of(sample: Sample) -> frozenset[str]:
    """Return the names of a hash's fields, or of a JSON document's members; none for what is neither."""
    if sample.kind == "hash":
        return frozenset(sample.fields)
    if sample.kind != "ReJSON-RL":
        return frozenset()
    try:
        return frozenset(object_of(sample.fields.get("", b""), "the document"))
    except BadFieldError:
        return frozenset()


def _quoted(name: str) -> str:
    """Return a name as a text of Lua's, each byte by its number: it may hold anything."""
    return "'" + "".join(f"\\{byte:03d}" for byte in name.encode("utf-8", "surrogateescape")) + "'"


def _table(one: JsonField) -> str:
    path = ", ".join(map(_quoted, one.path))
    return f"{{ field = {_quoted(one.name)}, path = {{ {path} }}, escaped = {str(one.escaped).lower()} }}"

"""Whatever a layout reads goes through Chroma's codec and is written again as it was: byte for byte, by generated examples."""

import base64
import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatstore.chroma.metadata import decode, encode
from chatstore.models import Document, from_micros
from chatstore.redis import document_layout
from chatstore.redis.layouts.fields import BadFieldError
from chatstore.redis.layouts.redis_json import as_redis_reads, number_read
from chatstore.redis.layouts.search_index import IndexedField, SearchIndex
from chatstore.redis.layouts.vectors import NumberType
from tests.frameworks import dumps

KINDS = {"title": "TEXT", "page": "NUMERIC", "score": "NUMERIC", "tag": "TAG"}


def index(vector, numbers, *texts, is_json=False, extra=()):
    fields = {name: IndexedField(name, "TEXT") for name in texts}
    fields |= {name: IndexedField(name, kind) for name, kind in KINDS.items()}
    fields |= {name: IndexedField(name, kind) for name, kind in extra}
    fields[vector] = IndexedField(vector, "VECTOR", numbers=numbers)
    return SearchIndex("tea", is_json, ("tea:",), fields)


def layout_of(name, schema=None):
    layout = document_layout(name, index="tea")
    if schema is not None:
        layout.take(schema)
        layout.schema = schema
    return layout


_REDISVL = {
    f"redisvl-{numbers.lower()}": (
        layout_of("redisvl", index("embedding", numbers, "content")),
        "redisvl-documents-hash",
    )
    for numbers in NumberType
}
HASHES = {
    "langchain": (layout_of("langchain"), "langchain-documents"),
    "langchain-float64": (
        layout_of("langchain", index("content_vector", NumberType.FLOAT64, "content")),
        "langchain-documents-schema",
    ),
    "langchain-redis": (layout_of("langchain-redis"), "langchain-redis-documents-hash"),
    "langchain-redis-old": (
        layout_of("langchain-redis", index("embedding", NumberType.FLOAT32, "text")),
        "langchain-redis-old-documents",
    ),
    "langchain-redis-uncovered": (
        layout_of("langchain-redis", index("embedding", NumberType.FLOAT32, "text")),
        "langchain-redis-documents-hash",
    ),
    "langchain-js-uncovered": (
        layout_of("langchain-js", index("content_vector", NumberType.FLOAT32, "content")),
        "langchain-js-documents",
    ),
    "langchain-js": (layout_of("langchain-js"), "langchain-js-documents-schema"),
    "langchain-js-schema": (
        layout_of(
            "langchain-js",
            index(
                "content_vector",
                NumberType.FLOAT32,
                "content",
                "metadata",
                extra=[("metadata.page", "NUMERIC"), ("metadata.tag", "TAG")],
            ),
        ),
        "langchain-js-documents-schema",
    ),
    "langchain-js-fluent": (
        layout_of("langchain-js", index("content_vector", NumberType.FLOAT32, "content")),
        "langchain-js-documents-fluent",
    ),
    "llamaindex": (layout_of("llamaindex"), "llamaindex-documents"),
    "llamaindex-old": (layout_of("llamaindex"), "llamaindex-old-documents"),
    **_REDISVL,
}
JSONS = {
    "langchain-redis-json": (
        layout_of(
            "langchain-redis",
            index("embedding", NumberType.FLOAT32, "text", "_index_name", "_metadata_json", is_json=True),
        ),
        "langchain-redis-documents-json",
    ),
    "redisvl-json": (
        layout_of("redisvl", index("embedding", NumberType.FLOAT64, "content", is_json=True)),
        "redisvl-documents-json",
    ),
}

_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_names = (
    st.sampled_from(["title", "page", "tag", "user_id", "", "a b", "text", "content", "metadata", "base64"]) | st.text()
)
_objects = st.dictionaries(
    _names,
    st.recursive(
        _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3), max_leaves=6
    ),
    max_size=5,
)


@st.composite
def spelt(draw):
    """Draw an object as JSON text, in any spelling."""
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,", " :")]))
    ascii_only, value = draw(st.booleans()), draw(_objects)
    text = json.dumps(value, ensure_ascii=ascii_only, separators=separators, sort_keys=draw(st.booleans()))
    escaped = text.replace("-", "\\-").replace(":", "\\:").replace('"', '\\"')
    return draw(st.sampled_from([text, escaped])).encode()


_numbers = (st.integers() | st.floats() | st.sampled_from(["007", "1e5", "1.50", "-0", "0x1", "1_0"])).map(
    lambda n: str(n).encode()
)
_values = st.text().map(str.encode) | st.binary(max_size=40) | _numbers | spelt()
_changes = st.dictionaries(st.integers(0, 20) | st.text(max_size=5), st.none() | _values, max_size=4)


def through_chroma(values):
    """Return a document that says this after it was in Chroma."""
    document = Document(
        id="d",
        user_id="u",
        text=values.text,
        embedding=values.embedding,
        metadata=values.metadata,
        created_at=from_micros(0),
        updated_at=from_micros(0),
        extra=values.extra,
    )
    return (
        document if document.embedding is None else decode(encode(document, record_id="d"), document_id="d", owner="u")
    )


def changed(fields, changes):
    """Return fields with some of them, by their place or by a name, replaced or taken away."""
    found = dict(fields)
    for which, value in changes.items():
        name = sorted(fields)[which % len(fields)] if isinstance(which, int) else which
        found[name] = value
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize("name", HASHES)
@settings(max_examples=50)
@given(changes=_changes, vector=st.none() | st.lists(st.floats(width=64), min_size=8, max_size=8))
def test_a_hash_comes_back_byte_for_byte_or_is_no_document(name, changes, vector):
    layout, dump = HASHES[name]
    suffix = f":{layout.numbers.lower()}:" if name.startswith("redisvl") else ""
    key = next(key for key in dumps.load(dump).keys if suffix.encode() in key.key)
    fields = changed({field.decode(): value for field, value in key.value.items()}, changes)
    if vector is not None and layout.numbers is NumberType.FLOAT64:
        fields[layout.vector] = struct.pack("<8d", *vector)
    try:
        values = layout.read_document(fields, b"")
    except BadFieldError:
        return
    document = through_chroma(values)
    encoded = layout.write_document(document)
    if values.embedding is not None:
        assert encoded.fields == fields
    again = layout.read_document(encoded.fields, encoded.rest)
    assert (again.text, again.embedding, again.extra) == (document.text, document.embedding, document.extra)
    assert again.metadata == document.metadata


@pytest.mark.parametrize("name", JSONS)
@settings(max_examples=50)
@given(
    changes=st.dictionaries(st.integers(0, 20) | _names, _scalars | _objects, max_size=4),
    text=spelt(),
    vector=st.data(),
)
def test_a_json_document_comes_back_letter_by_letter_or_is_no_document(name, changes, text, vector):
    layout, dump = JSONS[name]
    held = json.loads(dumps.load(dump).keys[0].value)
    raw = changed(held, {which: value for which, value in changes.items() if value is not None})
    if vector.draw(st.booleans()):
        raw["_metadata_json"] = text.decode()
    if vector.draw(st.booleans()):
        raw[layout.vector] = vector.draw(
            st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9))
        )
    raw = dict(vector.draw(st.permutations(list(raw.items()))))
    fields = {"": json.dumps(as_redis_reads(raw), ensure_ascii=False).encode()}
    try:
        values = layout.read_document(fields, b"")
    except BadFieldError:
        return
    document = through_chroma(values)
    encoded = layout.write_document(document)
    given_back = json.loads(
        encoded.fields[""], parse_float=number_read, parse_int=lambda text: as_redis_reads(int(text))
    )
    if values.embedding is not None:
        assert json.dumps(given_back) == json.dumps(json.loads(fields[""]))
    again = layout.read_document({"": json.dumps(given_back).encode()}, encoded.rest)
    assert (again.text, again.embedding, again.extra) == (document.text, document.embedding, document.extra)
    assert again.metadata == document.metadata


@given(attributes=spelt() | st.text().map(str.encode))
def test_the_attributes_of_an_element_come_back_letter_by_letter_or_are_none(attributes):
    layout = document_layout("vector-set", index="tea")
    fields = {"vector": b"0.5 1", "attributes": attributes, "quantization": b"int8"}
    try:
        values = layout.read_document(fields, b"")
    except BadFieldError:
        return
    encoded = layout.write_document(through_chroma(values))
    assert encoded.fields["attributes"] == attributes
    assert encoded.fields["quantization"] == b"int8"


def test_bytes_in_a_field_of_the_apps_come_along():
    layout = HASHES["redisvl-float32"][0]
    fields = {"content": b"x", "embedding": bytes(8), "image": b"\xff\x00", "text": b'{"base64": "/wA="}'}
    values = layout.read_document(fields, b"")
    assert values.extra == {"image": {"base64": base64.b64encode(b"\xff\x00").decode()}}
    assert layout.write_document(through_chroma(values)).fields == fields


def uncovered(name, field, text, spelt):
    layout = HASHES[name][0]
    return layout, {text: b"x", layout.vector: struct.pack("<2f", 1, 2), field: spelt}


@pytest.mark.parametrize("spelt", [b"{}", b'{"a": 1}', b'{"b": 1, "a": [true, null]}', b'{"a":1}'])
def test_metadata_in_json_come_back_where_the_index_does_not_cover_them(spelt):
    layout, fields = uncovered("langchain-redis-uncovered", "_metadata_json", "text", spelt)
    assert layout.write_document(through_chroma(layout.read_document(fields, b""))).fields == fields
    spelt = spelt.replace(b":", b"\\:").replace(b'"', b'\\"')
    layout, fields = uncovered("langchain-js-uncovered", "metadata", "content", spelt)
    assert layout.write_document(through_chroma(layout.read_document(fields, b""))).fields == fields


@pytest.mark.parametrize("name", JSONS)
def test_a_text_that_is_null_comes_back_as_null_and_one_that_is_not_there_does_not(name):
    layout = JSONS[name][0]
    for text in ({layout.content: None}, {}, {layout.content: ""}):
        raw = {**text, layout.vector: [0.5, 1.5]}
        document = through_chroma(layout.read_document({"": json.dumps(raw).encode()}, b""))
        encoded = layout.write_document(document)
        assert json.loads(encoded.fields[""]) == raw
        assert encoded.rest == b""


@pytest.mark.parametrize("name", JSONS)
def test_members_that_are_null_come_back(name):
    layout = JSONS[name][0]
    raw = {
        "a": None,
        layout.content: "x",
        layout.vector: [0.5, 1.5],
        "_metadata_json": '{"b": null, "c": 1}',
        "c": None,
    }
    document = through_chroma(layout.read_document({"": json.dumps(raw).encode()}, b""))
    assert list(json.loads(layout.write_document(document).fields[""]).items()) == list(raw.items())

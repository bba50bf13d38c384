"""The codec between documents and records."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore.chroma.metadata import decode, encode, native_name
from chatstore.chroma.records import Record
from chatstore.errors import InvalidRecordError
from chatstore.models import Document, Embedding, from_micros, same_expiry

END = datetime.max.replace(tzinfo=UTC)
TIME = datetime(2026, 11, 24, 1, 2, 3, 456789, tzinfo=UTC)
DOCUMENT = Document(
    id="d", user_id="u", text="text", embedding=Embedding.of([1, 2]), created_at=TIME, updated_at=TIME, version=7
)

texts = st.text(st.characters(exclude_categories=["Cs"]))
names = texts | st.sampled_from(
    ["", "title", "url", "user_id", "version", "chatstore", "chatstore:title", "#x", "$and", "chroma:document"]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
objects = st.dictionaries(names, values, max_size=6)
times = st.datetimes(timezones=st.just(UTC))
documents = st.builds(
    Document,
    id=texts.filter(bool),
    user_id=texts.filter(bool),
    text=texts,
    embedding=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1).map(Embedding.of),
    title=texts,
    url=texts,
    metadata=objects,
    created_at=times,
    updated_at=times,
    expires_at=st.none() | times.filter(lambda time: time != END),
    version=st.integers(0, 2**62),
    extra=objects,
)


def back(record, **changes):
    kept = {name: value for name, value in record.metadata.items() if value is not None}
    return decode(replace(record, metadata={**kept, **changes}), document_id=record.id, owner=None)


@given(documents)
def test_a_document_comes_back_as_it_was(document):
    decoded = back(encode(document, record_id=document.id))
    assert decoded == document
    assert repr(decoded.metadata) == repr({name: decoded.metadata[name] for name in decoded.metadata})
    for name, value in document.metadata.items():
        assert repr(decoded.metadata[name]) == repr(value)


@given(documents)
def test_chroma_is_given_only_what_it_takes(document):
    for name, value in encode(document, record_id=document.id).metadata.items():
        assert name
        assert not name.startswith(("#", "$", "chroma:"))
        items = value if isinstance(value, list) else [value]
        assert items
        assert len({type(item) for item in items}) == 1
        assert all(item is None or isinstance(item, str | float) or abs(item) < 2**63 for item in items)


@given(names, names)
def test_two_fields_never_share_a_name(one, other):
    assert (native_name(one) == native_name(other)) == (one == other)


def test_times_are_numbers_so_that_any_client_can_filter_on_them():
    metadata = encode(replace(DOCUMENT, expires_at=TIME), record_id="d").metadata
    assert metadata["created_at"] == metadata["updated_at"] == metadata["expires_at"] == 1795482123456789
    assert from_micros(1795482123456789) == TIME


def test_what_never_expires_says_so_by_a_number_which_leaves_none_of_an_older_document_behind():
    metadata = encode(DOCUMENT, record_id="d", stale=["expires_at"]).metadata
    assert DOCUMENT.expires_at is None
    assert metadata["expires_at"] == 253_402_300_799_999_999
    assert from_micros(metadata["expires_at"]) == END


def test_an_expiry_at_the_end_of_all_times_is_none_that_never_comes():
    decoded = back(encode(replace(DOCUMENT, expires_at=END), record_id="d"))
    assert same_expiry(decoded.expires_at, END)


def test_a_record_that_says_nothing_of_an_expiry_has_none():
    record = encode(DOCUMENT, record_id="d")
    assert back(record, expires_at=None).expires_at is None


def test_names_that_a_document_no_longer_has_are_removed():
    metadata = encode(replace(DOCUMENT, metadata={"kept": 1}), record_id="d", stale=["kept", "gone", "title"]).metadata
    assert metadata["gone"] is None
    assert metadata["kept"] == 1
    assert metadata["title"] == ""


def test_a_field_that_another_writer_left_behind_does_not_count():
    record = encode(replace(DOCUMENT, metadata={"mine": 1}), record_id="d")
    assert back(record, theirs=2).metadata == {"mine": 1}


def test_a_document_without_an_embedding_is_refused():
    with pytest.raises(InvalidRecordError, match="embedding"):
        encode(replace(DOCUMENT, embedding=None), record_id="d")


@pytest.mark.parametrize("extra", [{"bad": float("nan")}, {"bad": object()}, {"bad": [1.0, float("inf")]}])
def test_what_json_cannot_hold_is_refused(extra):
    with pytest.raises(InvalidRecordError):
        encode(replace(DOCUMENT, extra=extra), record_id="d")


def test_a_record_that_chatstore_did_not_write_is_read():
    record = Record(id="d", text=None, metadata={"topic": "tea", "title": "Tea", "updated_at": 5, "tags": ["a"]})
    document = decode(record, document_id="d", owner="u")
    assert (document.user_id, document.text, document.title, document.version) == ("u", "", "Tea", 5)
    assert document.metadata == {"topic": "tea", "tags": ["a"]}
    assert document.created_at == from_micros(0)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"user_id": 1},
        {"user_id": "u", "chatstore": "{"},
        {"user_id": "u", "chatstore": "[]"},
        {"user_id": "u", "chatstore": '{"fields":["x"],"metadata":{},"extra":{}}'},
        {"user_id": "u", "created_at": "yesterday"},
        {"user_id": "u", "updated_at": 2**62},
    ],
)
def test_a_record_that_makes_no_sense_is_refused(metadata):
    with pytest.raises(InvalidRecordError):
        decode(Record(id="d", metadata=metadata), document_id="d", owner=None)

"""What the fields of Redis hold as JSON, read in the fast way where that is sure and in the slow one elsewhere."""

import json

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatstore.redis.layouts.fields import BadFieldError, embedding_of, object_of

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
objects = st.dictionaries(texts, values, max_size=5)


@given(objects, st.booleans(), st.booleans())
@example({"n": 2**64}, True, True)
@example({"n": 1e23, "m": -0.0, "é": "\u0000"}, True, True)
def test_an_object_is_what_the_standard_library_reads_however_it_is_written(held, compact, is_ascii):
    separators = (",", ":") if compact else None
    raw = json.dumps(held, separators=separators, ensure_ascii=is_ascii)
    assert repr(object_of(raw.encode(), "metadata")) == repr(json.loads(raw))


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":NaN}',
        b"[1]",
        b'"a"',
        b'{"a":1',
        b'{"a":"\xff"}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_object_that_every_side_could_hold_is_refused(raw):
    with pytest.raises(BadFieldError):
        object_of(raw, "metadata")


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70), min_size=1))
@example([0.1, 16777217, 2**63 + 1, -0.0])
def test_an_embedding_is_the_float32_nearest_to_each_number(numbers):
    embedding = embedding_of(json.dumps(numbers).encode(), "embedding")
    assert embedding is not None
    expected = np.array(orjson.loads(json.dumps(numbers)), np.float64).astype("<f4")
    assert embedding.data == expected.tobytes()


@pytest.mark.parametrize(
    "raw",
    [
        b"[1,true]",
        b"[false]",
        b'[1,"2"]',
        b"[1,[2]]",
        b"[1,null]",
        b'{"1":2}',
        b"{}",
        b"3",
        b'"1"',
        b"[1e39]",
        b"[1e400]",
        b"[NaN]",
        b"[1,",
        b"\xff",
    ],
)
def test_what_is_no_array_of_finite_numbers_is_no_embedding(raw):
    with pytest.raises(BadFieldError):
        embedding_of(raw, "embedding")

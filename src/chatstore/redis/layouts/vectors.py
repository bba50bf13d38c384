"""The embeddings of layouts with a search index: as bytes of the index's own number type, or as numbers in JSON.

Our embeddings are float32. What is narrower becomes float32 exactly. What is wider, and is not a float32, is given back
from `extra`, where the reader puts the numbers as they were. Where a field is narrower than what is to be written, it
gets the nearest, and the ledger keeps the rest.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import orjson

from chatstore.models import Embedding, JsonValue
from chatstore.redis.layouts.fields import BadFieldError

_UPPER_HALF = 16


class NumberType(StrEnum):
    """How the search index says that a vector's numbers are kept."""

    FLOAT16 = "FLOAT16"
    BFLOAT16 = "BFLOAT16"
    FLOAT32 = "FLOAT32"
    FLOAT64 = "FLOAT64"

    @property
    def size(self) -> int:
        """How many bytes a number has."""
        return {self.FLOAT16: 2, self.BFLOAT16: 2, self.FLOAT32: 4, self.FLOAT64: 8}[self]


def embedding_of_bytes(raw: bytes, numbers: NumberType, name: str) -> tuple[Embedding | None, list[float] | None]:
    """Return the embedding that a field holds, and its numbers as they are where float32 cannot hold them.

    Raises:
        BadFieldError: It has a length that no vector has, or a number that is not finite, as float32 at least.
    """
    if not raw:
        return None, None
    if len(raw) % numbers.size:
        raise BadFieldError(f"{name} has {len(raw)} bytes: no vector of {numbers} has")
    if numbers is NumberType.FLOAT64:
        wide = np.frombuffer(raw, "<f8")
        embedding = _finite(_narrowed(wide), name)
        exact = np.array_equal(np.frombuffer(embedding.data, "<f4").astype("<f8").view("<u8"), wide.view("<u8"))
        return embedding, None if exact else wide.tolist()
    return _finite(_widened(raw, numbers), name), None


def bytes_of_embedding(embedding: Embedding, numbers: NumberType, exact: JsonValue = None) -> bytes:
    """Return an embedding as a field holds it: of `exact` numbers where these are the same embedding, wider."""
    single = np.frombuffer(embedding.data, "<f4")
    if numbers is NumberType.FLOAT32:
        return embedding.data
    if numbers is NumberType.FLOAT64:
        wide = _numbers(exact)
        if wide is not None and _narrowed(wide).astype("<f4").tobytes() == embedding.data:
            return wide.astype("<f8").tobytes()
        return single.astype("<f8").tobytes()
    if numbers is NumberType.FLOAT16:
        with np.errstate(over="ignore"):
            return single.astype("<f2").tobytes()
    return _brain(single)


def embedding_of_json(value: JsonValue, name: str) -> tuple[Embedding | None, JsonValue]:
    """Return the embedding that a JSON array holds, and the array where writing the embedding would not give it again.

    Raises:
        BadFieldError: It is no array of finite numbers, as float32 at least.
    """
    if value is None or value == []:
        return None, value if value == [] else None
    wide = _numbers(value)
    if wide is None:
        raise BadFieldError(f"{name} is no JSON array of numbers")
    embedding = _finite(_narrowed(wide), name)
    return embedding, None if _is_spelt(embedding, value) else value


def json_of_embedding(embedding: Embedding, exact: JsonValue = None) -> JsonValue:
    """Return an embedding as JSON: each number by the shortest text that gives the same float32."""
    wide = _numbers(exact)
    if wide is not None and _narrowed(wide).astype("<f4").tobytes() == embedding.data:
        return exact
    return _spelt(embedding)


def embedding_of_texts(texts: Sequence[str], name: str) -> Embedding:
    """Return the embedding of numbers that the server wrote as text.

    Raises:
        BadFieldError: One of them is no finite number.
    """
    try:
        return _finite(_narrowed(np.array([float(text) for text in texts], "<f8")), name)
    except ValueError:  # it quotes what it is
        raise BadFieldError(f"{name} holds what is no number") from None


def _finite(vector: npt.NDArray[np.floating], name: str) -> Embedding:
    if not len(vector):
        raise BadFieldError(f"{name} is a vector without numbers")
    if not np.isfinite(vector).all():
        raise BadFieldError(f"{name} holds a NaN, an infinity, or what is one as float32")
    return Embedding(vector.astype("<f4").tobytes())


def _narrowed(wide: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return wide.astype(np.float32)


def _widened(raw: bytes, numbers: NumberType) -> npt.NDArray[np.floating]:
    if numbers is NumberType.BFLOAT16:
        return (np.frombuffer(raw, "<u2").astype("<u4") << _UPPER_HALF).view("<f4")
    return np.frombuffer(raw, "<f2" if numbers is NumberType.FLOAT16 else "<f4")


def _brain(single: npt.NDArray[np.float32]) -> bytes:
    # The upper half of a float32, rounded to the nearest, ties to even.
    bits = single.view("<u4").astype(np.uint64)
    rounded = bits + 0x7FFF + ((bits >> np.uint64(_UPPER_HALF)) & np.uint64(1))
    return (rounded >> np.uint64(_UPPER_HALF)).astype("<u2").tobytes()


def _numbers(value: JsonValue) -> npt.NDArray[np.float64] | None:
    if not isinstance(value, list) or not value or not set(map(type, value)) <= {float, int}:
        return None
    try:
        return np.array(value, "<f8")
    except OverflowError:
        return np.array([np.inf])


def _spelt(embedding: Embedding) -> list[JsonValue]:
    single = np.frombuffer(embedding.data, "<f4").astype(np.float32)
    numbers: list[JsonValue] = orjson.loads(orjson.dumps(single, option=orjson.OPT_SERIALIZE_NUMPY))
    return numbers


def _is_spelt(embedding: Embedding, value: JsonValue) -> bool:
    """Return whether an array is what `_spelt` gives, integers being other numbers than floats, and -0 than 0."""
    ours = _spelt(embedding)
    if not isinstance(value, list) or set(map(type, value)) != {float}:
        return False
    return struct.pack(f"{len(ours)}d", *ours) == struct.pack(f"{len(value)}d", *value)

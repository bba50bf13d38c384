"""An embedding: a vector of float32, held as the bytes that every vector store agrees on."""

from __future__ import annotations

import array
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chatstore.errors import InvalidRecordError

_SIZE = 4


@dataclass(frozen=True, slots=True, repr=False)
class Embedding:
    """A vector of finite float32, immutable and compared by value. Its `repr` shows none: they tell of the text.

    Attributes:
        data: The numbers, 4 bytes each, little-endian (`numpy.frombuffer(e.data, "<f4")` reads it without a copy).
    """

    data: bytes

    @classmethod
    def of(cls, numbers: Iterable[float]) -> Embedding:
        """Return the embedding of `numbers`, each rounded to the nearest float32.

        Raises:
            InvalidRecordError: There are none, or one is not a finite float32.
        """
        try:
            vector = array.array("f", numbers)
        except (TypeError, OverflowError) as error:
            raise InvalidRecordError(f"an embedding is a list of numbers: {error}") from error
        if not vector:
            raise InvalidRecordError("an embedding has at least one number")
        if not all(map(math.isfinite, vector)):
            raise InvalidRecordError("an embedding holds finite float32 only; this one has a NaN or an infinity")
        if sys.byteorder == "big":
            vector.byteswap()
        return cls(vector.tobytes())

    @property
    def dimension(self) -> int:
        """How many numbers it has."""
        return len(self.data) // _SIZE

    def __repr__(self) -> str:
        return f"Embedding({self.dimension} numbers)"

    def __iter__(self) -> Iterator[float]:
        vector = array.array("f", self.data)
        if sys.byteorder == "big":
            vector.byteswap()
        return iter(vector)

"""Embeddings without a network: of the words of a text, or of a small model that lies inside its package."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from chatstore import ConfigurationError, Embedder, Embedding

DIMENSION = 256
_PART = 0.35
"""What three letters of a word weigh beside the word: so `steamed` is like `steam`."""
_SAYS_LITTLE = """
    a about an and are as at be been but by can did do does for from had has have how i if in into is it its me my no
    not of on or our so than that the their them then there these they this to was we were what when where which who
    why will with you your
"""
_STOP = frozenset(_SAYS_LITTLE.split())


def make_embedder(name: str) -> Embedder:
    """Return the embedder of a name: `words` or `wordllama`. What one embedded, the other cannot search.

    Raises:
        ConfigurationError: Its library is not installed.
    """
    return _off_the_loop(_wordllama() if name == "wordllama" else _of_words)


def words(text: str) -> list[str]:
    """Return the words of a text that say something, in small letters."""
    return [word for word in re.findall(r"\w+", text.lower()) if word not in _STOP]


def _of_words(texts: Sequence[str]) -> list[Embedding]:
    return [_of_one(text) for text in texts]


def _of_one(text: str) -> Embedding:
    """Hash words into a vector (Weinberger et al. 2009): texts with words in common point the same way."""
    vector = [0.0] * DIMENSION
    for word in words(text):
        for place, weight in _places(word):
            vector[place] += weight
    length = math.hypot(*vector)
    if not length:  # a text without a word is like none that has some
        return Embedding.of([1.0] + [0.0] * (DIMENSION - 1))
    return Embedding.of(number / length for number in vector)


@lru_cache(maxsize=20_000)
def _places(word: str) -> list[tuple[int, float]]:
    padded = f"<{word}>"
    parts = [padded[start : start + 3] for start in range(len(padded) - 2)]
    return [_place(word, 1.0), *(_place(part, _PART) for part in parts)]


def _place(feature: str, weight: float) -> tuple[int, float]:
    number = int.from_bytes(blake2b(feature.encode(errors="replace"), digest_size=8).digest())
    return number % DIMENSION, weight if number >> 32 & 1 else -weight


def _wordllama() -> Callable[[Sequence[str]], list[Embedding]]:
    try:
        import wordllama  # type: ignore[import-untyped] # noqa: PLC0415 - only where it was asked for
    except ImportError as error:
        raise ConfigurationError("APP_EMBEDDER=wordllama needs its library: pip install wordllama") from error
    model: Any = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    return lambda texts: [Embedding.of(vector.tolist()) for vector in model.embed(list(texts))]


def _off_the_loop(embed: Callable[[Sequence[str]], list[Embedding]]) -> Embedder:
    async def embedder(texts: Sequence[str]) -> list[Embedding]:
        return await asyncio.to_thread(embed, texts)

    return embedder

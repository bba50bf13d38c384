"""The Cranfield collection, with embeddings that need no network; benchmarks/data/README.md says where it is from."""

from __future__ import annotations

import json
import logging
import lzma
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.ranking import Grades
from chatstore.models import Document, Embedding, from_micros

_FILE = Path(__file__).parent / "data" / "cranfield.json.xz"
_MICROS = 1_760_000_000_000_000
_NO_WORDS = frozenset({"471", "995"})


@dataclass(frozen=True, slots=True)
class Query:
    """A question.

    Attributes:
        id: Its number.
        embedding: That of its text.
        grades: What was judged to answer it, and how well.
    """

    id: str
    embedding: Embedding
    grades: Grades


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents and the questions that they were judged for."""

    documents: Sequence[Document]
    queries: Sequence[Query]

    def every(self, step: int) -> Collection:
        """Return the same documents with every Nth question: the first, and so on by steps."""
        return replace(self, queries=self.queries[::step])

    def of_lengths(self, least: float, most: float) -> Collection:
        """Return the same with embeddings of the same directions, whose lengths are spread evenly over a range."""
        lengths = np.random.default_rng(7).uniform(least, most, len(self.documents))
        rows = _directions([document.embedding for document in self.documents]) * lengths[:, np.newaxis]
        stretched = [
            replace(document, embedding=Embedding(row.astype("<f4").tobytes()))
            for document, row in zip(self.documents, rows, strict=True)
        ]
        return replace(self, documents=stretched)

    def exact(self, k: int) -> dict[str, list[str]]:
        """Return, of each question, the ids of the `k` documents most alike to it, by looking at every document."""
        documents = _directions([document.embedding for document in self.documents])
        scores = _directions([query.embedding for query in self.queries]) @ documents.T
        names = [document.id for document in self.documents]
        return {
            query.id: [names[at] for at in np.argsort(-row, kind="stable")[:k]]
            for query, row in zip(self.queries, scores, strict=True)
        }


def load(user_id: str) -> Collection:
    """Return the collection as one user's documents, embedded by WordLlama: 256 numbers, of any length.

    The two documents without a word are left out.
    """
    held: Mapping[str, Any] = json.loads(lzma.decompress(_FILE.read_bytes()))
    kept = [(number, one) for number, one in enumerate(held["documents"]) if one[0] not in _NO_WORDS]
    texts = [f"{title} {abstract}".strip() for _, (_, title, _, _, abstract) in kept]
    queries = held["queries"]
    embeddings = embed([*texts, *(text for _, text in queries)])
    documents = [
        Document(
            id=one[0],
            user_id=user_id,
            text=text,
            embedding=embedding,
            title=one[1],
            metadata={"authors": one[2], "source": one[3]},
            created_at=from_micros(_MICROS + number * 1000),
            updated_at=from_micros(_MICROS + number * 1000),
            version=_MICROS + number * 1000,
        )
        for (number, one), text, embedding in zip(kept, texts, embeddings, strict=False)
    ]
    asked = [
        Query(name, embedding, {one: grade for one, grade in held["grades"][name].items() if one not in _NO_WORDS})
        for (name, _), embedding in zip(queries, embeddings[len(texts) :], strict=True)
    ]
    return Collection(documents, asked)


def embed(texts: Sequence[str]) -> list[Embedding]:
    """Return the embeddings of texts, by a small model that lies inside its package and asks no network."""
    logging.basicConfig(level=logging.WARNING)  # else the import makes every library log at INFO
    import wordllama  # type: ignore[import-untyped] # noqa: PLC0415 - it takes seconds; only whoever measures waits

    model = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    return [Embedding(np.asarray(vector, "<f4").tobytes()) for vector in model.embed(list(texts))]


def _directions(embeddings: Sequence[Embedding | None]) -> npt.NDArray[np.float64]:
    rows = np.stack([np.frombuffer(one.data, "<f4") for one in embeddings if one is not None]).astype(np.float64)
    unit: npt.NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit

"""Ranking by cosine over an index by Euclidean distance."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from chatstore.chroma import ChromaDocuments
from chatstore.chroma.search import cosines
from chatstore.models import DocumentChange, Embedding, NewDocument, utc_now


def embeddings(count, dimension, *, lengths, seed=7):
    random = np.random.default_rng(seed)
    rows = random.standard_normal((count, dimension))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return [Embedding.of(row * length) for row, length in zip(rows, lengths(random, count), strict=True)]


LENGTHS = {
    "all of length one": lambda random, count: np.ones(count),
    "of about one length": lambda random, count: random.uniform(4, 6, count),
    "of any length": lambda random, count: random.lognormal(0, 1.5, count),
}
FEW = 480
"""So few that a search may look at all of them."""


@pytest.mark.parametrize("kind", LENGTHS)
async def test_the_best_are_found_whatever_their_lengths(documents, kind):
    held = embeddings(FEW if kind == "of any length" else 1200, 24, lengths=LENGTHS[kind])
    await documents.upsert("u", [NewDocument(str(at), id=str(at), embedding=e) for at, e in enumerate(held)])
    for query in embeddings(5, 24, lengths=LENGTHS["of about one length"], seed=8):
        scores = cosines(held, query)
        best = sorted(range(len(held)), key=lambda at: (-scores[at], str(at)))[:7]
        matches = await documents.search("u", query, k=7)
        assert [match.document.id for match in matches] == [str(at) for at in best]
        assert [match.score for match in matches] == [scores[at] for at in best]


async def test_nearly_all_of_the_best_are_found_among_many_of_very_different_lengths(documents):
    """A search that looks from one length only finds six of ten."""
    random = np.random.default_rng(7)
    topics = random.standard_normal((60, 128))
    held, queries = (
        [Embedding.of(row * length) for row, length in zip(rows, random.lognormal(0, 1.5, len(rows)), strict=True)]
        for rows in (topics[np.arange(count) % 60] + 0.9 * random.standard_normal((count, 128)) for count in (2000, 10))
    )
    await documents.upsert("u", [NewDocument(str(at), id=str(at), embedding=e) for at, e in enumerate(held)])
    found = 0
    for query in queries:
        scores = cosines(held, query)
        best = {str(at) for at in sorted(range(len(held)), key=lambda at: -scores[at])[:10]}
        found += len(best & {match.document.id for match in await documents.search("u", query, k=10)})
    assert found >= 95


async def test_enormous_and_empty_vectors_are_ranked_too(documents):
    vectors = {"huge": [3e38, 0], "zero": [0, 0], "tiny": [1e-40, 1e-40], "back": [-3e38, 0]}
    await documents.upsert("u", [NewDocument(name, id=name, embedding=Embedding.of(v)) for name, v in vectors.items()])
    matches = await documents.search("u", Embedding.of([1, 0]), k=10)
    assert [match.document.id for match in matches] == ["huge", "tiny", "zero", "back"]
    assert [match.score for match in matches] == pytest.approx([1, 0.5**0.5, 0, -1], abs=1e-4)
    for query in ([0, 0], [3e38, 3e38]):
        assert len(await documents.search("u", Embedding.of(query), k=10)) == 4


async def test_documents_that_are_not_seen_do_not_take_the_places_of_others(documents, client):
    near, far = Embedding.of([1, 0]), Embedding.of([0, 1])
    news = [NewDocument("x", id=f"expired {at}", embedding=near) for at in range(600)]
    stored = await documents.upsert("u", [*news, NewDocument("x", id="kept", embedding=far)])
    hour = timedelta(hours=1)
    changes = [replace(doc, expires_at=utc_now() + hour, version=doc.version + 10) for doc in stored[:-1]]
    await documents.put([DocumentChange(key=doc.key, document=doc) for doc in changes])
    documents = ChromaDocuments(client, now=lambda: utc_now() + 2 * hour)
    assert [match.document.id for match in await documents.search("u", near, k=3)] == ["kept"]
    assert await documents.count_documents("u") == 1
    assert [doc.id for doc in (await documents.list_documents("u")).items] == ["kept"]


def test_equal_embeddings_get_equal_scores_wherever_they_stand():
    one, other = embeddings(2, 131, lengths=LENGTHS["of any length"])
    assert len(set(cosines([one] * 9, other))) == 1
    assert cosines([], other) == []

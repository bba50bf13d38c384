"""The judged collection that comes with the repository is whole, and is searched as exactly as numpy can."""

import numpy as np
import pytest

from benchmarks import cranfield
from chatstore.models import Embedding


@pytest.fixture
def collection(monkeypatch):
    """The collection, with embeddings of three numbers that are made of a text's first letters."""

    def embed(texts):
        return [Embedding.of([1.0 + len(text) % 7, float(len(text) % 11), float(ord(text[0]) % 13)]) for text in texts]

    monkeypatch.setattr(cranfield, "embed", embed)
    return cranfield.load("u")


def test_all_documents_with_words_and_all_questions_are_there(collection):
    assert len(collection.documents) == len({document.id for document in collection.documents}) == 1398
    assert all(document.text.strip() for document in collection.documents)
    assert len(collection.queries) == 225
    assert collection.queries[0].grades["184"] == 3


def test_the_judgements_are_of_documents_that_are_there_and_more_is_better(collection):
    ids = {document.id for document in collection.documents}
    grades = [grade for query in collection.queries for grade in query.grades.values()]
    assert {grade: grades.count(grade) for grade in sorted(set(grades))} == {1: 363, 2: 733, 3: 387, 4: 353}
    assert all(query.grades.keys() <= ids for query in collection.queries)
    # "similarity laws for aerothermoelastic testing", for the question which similarity laws must be obeyed
    assert collection.queries[0].grades["486"] == 4


def test_an_exact_search_ranks_by_cosine_whatever_the_lengths(collection):
    few = collection.every(50)
    assert len(few.queries) == 5
    ranked = few.exact(20)
    query = few.queries[0]
    wanted = np.array(list(query.embedding))
    cosine = {
        document.id: np.dot(list(document.embedding), wanted)
        / np.linalg.norm(list(document.embedding))
        / np.linalg.norm(wanted)
        for document in few.documents
    }
    best = sorted(cosine.values(), reverse=True)[:20]
    assert [cosine[name] for name in ranked[query.id]] == pytest.approx(best)
    stretched = few.of_lengths(1.0, 3.0)
    lengths = [np.linalg.norm(list(document.embedding)) for document in stretched.documents]
    assert 1.0 <= min(lengths) < 1.1
    assert 2.9 < max(lengths) <= 3.0001
    assert [cosine[name] for name in stretched.exact(20)[query.id]] == pytest.approx(best, abs=1e-6)

"""What Chroma cannot hold is known before a document is sent, and is what Chroma then refuses."""

import pytest

from chatstore.chroma import Single
from chatstore.chroma.limits import CLOUD, limits_met
from chatstore.models import Document, Embedding, utc_now


def document(**fields):
    held = {"id": "d", "user_id": "ann", "text": "tea", "embedding": Embedding.of([1, 2]), "created_at": utc_now()}
    return Document(**{**held, "updated_at": utc_now(), **fields})


def reasons(one, **options):
    return [limit.reason for limit in limits_met(one, **options) if limit.refused]


def test_a_plain_document_meets_no_limit():
    assert list(limits_met(document(metadata={"page": 1, "tags": ["a", "b"]}), quotas=CLOUD)) == []


def test_without_an_embedding_no_chroma_takes_it():
    assert reasons(document(embedding=None)) == ["it has no embedding"]


def test_metadata_that_are_held_encoded_are_told_and_are_no_refusal():
    [limit] = limits_met(document(metadata={"nothing": None, "nested": {"a": 1}}))
    assert not limit.refused
    assert "encoded" in limit.reason


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"text": "é" * 8193}, "16,384 bytes"),
        ({"id": "x" * 129}, "its id"),
        ({"embedding": Embedding.of([0.5] * 4097)}, "4,096 dimensions"),
        ({"metadata": {str(place): place for place in range(32)}}, "32 keys"),
        ({"metadata": {"k" * 37: 1}}, "a key of its metadata"),
        ({"metadata": {"long": "x" * 4097}}, "a value of its metadata"),
        ({"metadata": {"nested": {"long": "x" * 4097}}}, "natively"),
        ({"user_id": "u" * 120}, "collection"),
    ],
)
def test_chroma_clouds_quotas_hold_there_and_nowhere_else(fields, word):
    [reason] = reasons(document(**fields), quotas=CLOUD)
    assert reason.startswith("Chroma Cloud: ")
    assert word in reason
    assert reasons(document(**fields)) == []


def test_an_id_counts_as_it_is_in_its_collection():
    assert reasons(document(id="x" * 125), quotas=CLOUD) == []
    assert "its id" in reasons(document(id="x" * 125), quotas=CLOUD, plan=Single())[0]

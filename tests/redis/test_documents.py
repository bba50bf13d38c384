"""Documents of the layout `hash` as an app wrote them."""

import json

import numpy as np
import pytest

from chatstore.errors import ConflictError, InvalidRecordError, LayoutError, NotFoundError
from chatstore.models import Document, DocumentChange, DocumentKey, Embedding, NewDocument, from_micros
from tests.redis.conftest import CREATED, UPDATED


async def test_a_document_of_the_apps_is_read_as_it_is(app, documents):
    await app.document("d", embedding=(0.1, -2), metadata='{"n": 123456789012345678901}', colour="red")
    assert await documents.get("ann", "d") == Document(
        id="d",
        user_id="ann",
        text="text of d",
        embedding=Embedding.of([0.1, -2]),
        title="the d",
        url="https://example.com/d",
        metadata={"n": 123456789012345678901},
        created_at=from_micros(CREATED * 1000),
        updated_at=from_micros(UPDATED * 1000),
        version=UPDATED * 1000,
        extra={"colour": "red"},
    )


async def test_our_writes_keep_the_apps_fields_and_exact_float32(documents, client):
    vector = Embedding(np.random.default_rng(1).normal(size=64).astype("<f4").tobytes())
    await documents.upsert("ann", NewDocument("text", id="d", embedding=vector, title="t", metadata={"a": [1, {}]}))
    held = await client.hgetall("document:d")
    assert set(held) == {
        b"title",
        b"content",
        b"url",
        b"userId",
        b"embedding",
        b"metadata",
        b"createdAt",
        b"updatedAt",
    }
    assert np.array_equal(np.float32(json.loads(held[b"embedding"])), np.frombuffer(vector.data, "<f4"))
    assert (await documents.get("ann", "d")).embedding == vector


async def test_what_the_app_writes_beside_us_is_a_newer_version(app, documents, client):
    [ours] = await documents.upsert("ann", NewDocument("text", id="d", embedding=Embedding.of([1])))
    await client.hset("document:d", mapping={"content": "theirs", "updatedAt": UPDATED})
    theirs = await documents.get("ann", "d")
    assert theirs.text == "theirs"
    assert theirs.version > ours.version
    await documents.delete("ann", ["d"])
    await app.document("d")
    again = (await documents.changes([DocumentKey("ann", "d")])).changes[0]
    assert again.document is not None
    assert again.document.version > again.deleted > theirs.version


async def test_a_deleted_document_stays_deleted(app, documents):
    await app.document("d")
    [before] = (await documents.changes([DocumentKey("ann", "d")])).changes
    assert await documents.delete("ann", ["d", "nobody"]) == 1
    await documents.put([before])
    with pytest.raises(NotFoundError):
        await documents.get("ann", "d")
    assert await documents.count() == 0


async def test_users_share_ids_and_nothing_else(app, documents):
    await app.document("d")
    with pytest.raises(ConflictError):
        await documents.upsert("bob", NewDocument("x", id="d", embedding=Embedding.of([1])))
    with pytest.raises(NotFoundError):
        await documents.get("bob", "d")
    assert await documents.delete("bob", ["d"]) == 0
    assert await documents.search("bob", Embedding.of([1, 0])) == []
    taken = DocumentChange(key=DocumentKey("bob", "d"), document=None, deleted=3)
    with pytest.raises(ConflictError):
        await documents.put([taken])


async def test_a_search_is_exact_with_ties_by_id_and_zero_for_nothing(app, documents):
    await app.document("b", embedding=(1, 0))
    await app.document("a", embedding=(2, 0))
    await app.document("up", embedding=(0, 3))
    await app.document("back", embedding=(-1, 0))
    await app.document("zero", embedding=(0, 0))
    await app.document("none", embedding=())
    found = await documents.search("ann", Embedding.of([5, 0]), k=9)
    assert [(match.document.id, match.score) for match in found] == [
        ("a", 1),
        ("b", 1),
        ("up", 0),
        ("zero", 0),
        ("back", -1),
    ]
    assert [m.document.id for m in await documents.search("ann", Embedding.of([5, 0]), k=1)] == ["a"]
    where = {"title": {"$in": ["the up", "the b"]}}
    assert [m.document.id for m in await documents.search("ann", Embedding.of([5, 0]), where=where)] == ["b", "up"]


async def test_a_search_over_many_batches_finds_the_best(app, documents):
    rng = np.random.default_rng(7)
    vectors = rng.normal(size=(700, 8)).astype(np.float32)
    for number, vector in enumerate(vectors):
        await app.document(f"d{number}", embedding=vector.tolist())
    query = rng.normal(size=8).astype(np.float32)
    found = await documents.search("ann", Embedding(query.tobytes()), k=10)
    scores = vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
    assert [m.document.id for m in found] == [f"d{i}" for i in np.argsort(-scores)[:10]]
    assert await documents.count_documents("ann") == 700


async def test_another_dimension_is_refused(app, documents):
    await app.document("d", embedding=(1, 0))
    with pytest.raises(InvalidRecordError):
        await documents.search("ann", Embedding.of([1, 0, 0]))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("embedding", "[1, "),
        ("embedding", '["1"]'),
        ("embedding", "[true]"),
        ("embedding", "[NaN]"),
        ("embedding", "[1e39]"),
        ("embedding", '{"a": 1}'),
        ("metadata", "[]"),
        ("content", b"\xff"),
        ("userId", ""),
        ("userId", b"\xff"),
        ("createdAt", "no"),
    ],
)
async def test_a_bad_document_is_quarantined_and_hides_no_other(app, documents, scanned, field, value):
    await app.document("bad")
    await app.document("good")
    await app.client.hset("document:bad", field, value)
    [change], [bad] = await scanned(documents)
    assert (change.key, bad.key) == (DocumentKey("ann", "good"), "document:bad")
    assert (value if isinstance(value, bytes) else value.encode()) in bad.raw
    assert [d.id for d in (await documents.list_documents("ann")).items] == ["good"]
    found = await documents.search("ann", Embedding.of([1, 0]), where={"title": {"$ne": "x"}})
    assert "good" in [match.document.id for match in found]
    with pytest.raises((LayoutError, NotFoundError)):
        await documents.get("ann", "bad")


async def test_a_wrong_type_is_quarantined(app, documents, client, scanned):
    await client.set("document:s", "text")
    await app.document("good")
    [_], [bad] = await scanned(documents)
    assert (bad.key, bad.raw) == ("document:s", b"text")
    assert len((await documents.list_documents("ann")).items) == 1
    assert await documents.count() == 1


async def test_an_expiry_comes_along_and_ends_with_a_new_write(app, documents, client):
    await app.document("d")
    await client.pexpireat("document:d", 4_000_000_000_123)
    held = await documents.get("ann", "d")
    assert held.expires_at == from_micros(4_000_000_000_123_000)
    await documents.upsert("ann", NewDocument("x", id="d", embedding=Embedding.of([1])))
    assert await client.pttl("document:d") == -1


async def test_times_before_1970_come_back_exactly(documents):
    early = from_micros(-1_234_567_891)
    await documents.upsert("ann", NewDocument("x", id="d", embedding=Embedding.of([1]), created_at=early))
    assert (await documents.get("ann", "d")).created_at == early

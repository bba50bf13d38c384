"""What each framework left in Redis is read, goes to Chroma, and comes back to an empty Redis byte for byte."""

import pytest

from chatstore.models import Embedding
from tests.frameworks import dumps
from tests.frameworks.conversations import DOCUMENTS
from tests.frameworks.embedding import embed
from tests.redis.documents.conftest import OWNER, raw

CASES = {
    "langchain-documents": ("langchain", "tea"),
    "langchain-documents-schema": ("langchain", "tea"),
    "langchain-redis-documents-hash": ("langchain-redis", "tea"),
    "langchain-redis-documents-json": ("langchain-redis", "tea"),
    "langchain-redis-old-documents": ("langchain-redis", "tea"),
    "langchain-js-documents": ("langchain-js", "tea"),
    "langchain-js-documents-schema": ("langchain-js", "tea"),
    "langchain-js-documents-fluent": ("langchain-js", "tea"),
    "llamaindex-documents": ("llamaindex", "tea"),
    "llamaindex-old-documents": ("llamaindex", "tea"),
}
REDISVL = [("hash", numbers) for numbers in ("float32", "float64", "float16", "bfloat16")]
REDISVL += [("json", numbers) for numbers in ("float32", "float64")]


async def there_and_back(app, opened, left):
    """Move to Chroma, empty Redis, let the framework make its indexes again, and move back."""
    before = raw(app)
    report = await opened.move()
    assert "time" in report.notes[0], "a migration says what was never stored"
    app.flushall()
    for command in left.indexes:
        app.execute_command(*command)
    await opened.move_back()
    return before, raw(app)


@pytest.mark.parametrize("name", CASES)
async def test_what_a_framework_left_comes_back_as_it_was(app, world, name):
    layout, index = CASES[name]
    left = dumps.load(name)
    left.restore(app)
    opened = await world(layout, index=index)
    page = [change async for part in opened.old.scan() for change in part.changes]
    found = {change.document.text: change.document for change in page}
    for each in DOCUMENTS:
        document = found.pop(each["text"])
        assert document.embedding == Embedding.of(embed(each["text"]))
        assert document.user_id == OWNER
        for field, value in document.metadata.items():
            assert str(value) == str(each["metadata"][field]) or value == each["metadata"][field]
        assert {"title", "page"} <= set(document.metadata)
        assert type(document.metadata["page"]) is int or name == "langchain-documents" or "old" in name
    assert found == {}
    before, after = await there_and_back(app, opened, left)
    assert len(before) == len(DOCUMENTS)
    assert after == before


@pytest.mark.parametrize(("storage", "numbers"), REDISVL)
async def test_so_does_what_redisvl_left(app, world, storage, numbers):
    left = dumps.load(f"redisvl-documents-{storage}")
    left.restore(app)
    for key in app.scan_iter(f"tea:{storage}:*"):
        if not key.startswith(f"tea:{storage}:{numbers}:".encode()):
            app.delete(key)
    opened = await world("redisvl", index=f"tea_{storage}_{numbers}")
    before, after = await there_and_back(app, opened, left)
    assert len(before) == len(DOCUMENTS)
    assert {ttl for _, _, ttl in before.values()} == {None, 1000}
    assert after == before


@pytest.mark.parametrize("name", ["exact", "quantised", "binary"])
async def test_a_vector_set_comes_back_with_the_vectors_that_it_gave(app, world, name):
    left = dumps.load("vector-sets")
    left.restore(app)
    key = f"tea:{name}".encode()
    app.execute_command("VSETATTR", key, "black", '{"b": [1.50, null],\n "a": "x"}')
    opened = await world("vector-set", index=f"tea:{name}")
    before = raw(app)[key][1]
    await opened.move()
    app.flushall()
    await opened.move_back()
    after = raw(app)[key][1]
    assert (after["quantisation"], after["dimensions"]) == (before["quantisation"], before["dimensions"])
    for old, new in zip(before["elements"], after["elements"], strict=True):
        assert (new["name"], new["attributes"]) == (old["name"], old["attributes"])
        assert new["vector"] == pytest.approx(old["vector"], abs=3e-7)

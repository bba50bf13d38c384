"""What a search index says that a document or a scan cannot follow is refused, in words that help."""

import pytest

from chatstore.errors import ConfigurationError, InvalidRecordError
from chatstore.models import Embedding, NewDocument, UpsertDocuments, utc_now
from tests.redis.documents.conftest import OWNER

NEAR = Embedding.of([1.0, 2.0])


def make_index(app, numbers, *prefixes):
    vector = ["v", "VECTOR", "FLAT", "6", "TYPE", numbers, "DIM", "2", "DISTANCE_METRIC", "COSINE"]
    prefix = ["PREFIX", str(len(prefixes)), *prefixes]
    app.execute_command("FT.CREATE", "tea", "ON", "HASH", *prefix, "SCHEMA", "content", "TEXT", *vector)


async def test_an_index_over_several_prefixes_is_refused_and_not_read_by_half(app, world):
    make_index(app, "FLOAT32", "green:", "black:")
    one = await world("redisvl", index="tea")
    with pytest.raises(ConfigurationError, match="CHATSTORE_DOCUMENT_PREFIX"):
        await one.old.count()
    chosen = await world("redisvl", index="tea", prefix="black:")
    app.hset("black:1", mapping={"content": "x", "v": bytes(8)})
    assert await chosen.old.count() == 1


async def found_ids(opened):
    return sorted([one.key.id async for page in opened.old.scan() for one in page.changes])


async def test_keys_without_a_colon_behind_the_prefix_of_the_index_are_found(app, world):
    make_index(app, "FLOAT32", "docs")
    app.hset("docs-1", mapping={"content": "x", "v": bytes(8)})
    app.hset("docs:2", mapping={"content": "x", "v": bytes(8)})
    opened = await world("redisvl", index="tea")
    assert await found_ids(opened) == ["-1", ":2"]
    await opened.old.write(
        UpsertDocuments(user_id=OWNER, documents=(NewDocument("green", id="-3", embedding=NEAR),), at=utc_now())
    )
    assert app.execute_command("FT.SEARCH", "tea", "green", "NOCONTENT") == [1, b"docs-3"]


@pytest.mark.parametrize("keys", [[], ["docs:1"]])
async def test_where_all_have_a_colon_the_id_stands_behind_it_as_redisvl_puts_it(app, world, keys):
    make_index(app, "FLOAT32", "docs")
    for key in keys:
        app.hset(key, mapping={"content": "x", "v": bytes(8)})
    opened = await world("redisvl", index="tea")
    assert await found_ids(opened) == [key.removeprefix("docs:") for key in keys]
    await opened.old.write(
        UpsertDocuments(user_id=OWNER, documents=(NewDocument("green", id="3", embedding=NEAR),), at=utc_now())
    )
    assert app.execute_command("FT.SEARCH", "tea", "green", "NOCONTENT") == [1, b"docs:3"]


@pytest.mark.parametrize("numbers", ["FLOAT16", "BFLOAT16"])
async def test_a_number_too_great_for_the_index_is_refused_as_an_invalid_record(app, world, numbers):
    make_index(app, numbers, "tea:")
    one = await world("redisvl", index="tea")
    document = NewDocument(id="1", text="x", embedding=Embedding.of([3.4e38, 1.0]))
    with pytest.raises(InvalidRecordError, match="infinity"):
        await one.old.write(UpsertDocuments(user_id=OWNER, documents=(document,), at=utc_now()))
    assert app.exists("tea:1") == 0


UNFIT = [7, "unknown", None, True, [1, 2], ["a"], {"a": 1}, "12.5,41.9", "181,0"]


def make_typed_index(app, on, kind):
    def field(name):
        return ["$." + name, "AS", name] if on == "JSON" else [name]

    vector = ["VECTOR", "FLAT", "6", "TYPE", "FLOAT32", "DIM", "2", "DISTANCE_METRIC", "COSINE"]
    schema = [*field("content"), "TEXT", *field("year"), kind, *field("v"), *vector]
    app.execute_command("FT.CREATE", "tea", "ON", on, "PREFIX", "1", "tea:", "SCHEMA", *schema)


@pytest.mark.parametrize("kind", ["NUMERIC", "TAG", "TEXT", "GEO"])
@pytest.mark.parametrize("on", ["HASH", "JSON"])
async def test_the_apps_search_finds_what_was_written_whatever_its_metadata_are(app, world, on, kind):
    make_typed_index(app, on, kind)
    opened = await world("redisvl", index="tea")
    documents = tuple(
        NewDocument(id=str(number), text="green", embedding=Embedding.of([1.0, 2.0]), metadata={"year": value, "a": 1})
        for number, value in enumerate(UNFIT)
    )
    await opened.old.write(UpsertDocuments(user_id=OWNER, documents=documents, at=utc_now()))
    found = app.execute_command("FT.SEARCH", "tea", "green", "NOCONTENT", "LIMIT", 0, 100)
    assert sorted(found[1:]) == [b"tea:%d" % number for number in range(len(UNFIT))]
    for document in documents:
        assert (await opened.old.get(OWNER, document.id)).metadata == document.metadata
    await opened.move()
    app.delete(*app.keys("tea:*"), *app.keys("chatstore:*"))
    await opened.move_back()
    assert app.execute_command("FT.SEARCH", "tea", "green", "NOCONTENT", "LIMIT", 0, 0)[0] == len(UNFIT)
    for document in documents:
        assert (await opened.old.get(OWNER, document.id)).metadata == document.metadata


@pytest.mark.parametrize("layout", ["redisvl", "langchain", "langchain-redis"])
async def test_what_an_app_wrote_and_its_index_does_not_take_comes_back_as_it_was(app, world, layout):
    prefix = "doc:tea:" if layout == "langchain" else "tea:"
    text, vector = ("text", "embedding") if layout == "langchain-redis" else ("content", "content_vector")
    of_vector = ["VECTOR", "FLAT", "6", "TYPE", "FLOAT32", "DIM", "2", "DISTANCE_METRIC", "COSINE"]
    schema = [text, "TEXT", "year", "NUMERIC", vector, *of_vector]
    app.execute_command("FT.CREATE", "tea", "ON", "HASH", "PREFIX", "1", prefix, "SCHEMA", *schema)
    app.hset(f"{prefix}1", mapping={text: "green", "year": "unknown", vector: bytes([0, 0, 128, 63] * 2)})
    before = app.hgetall(f"{prefix}1")
    opened = await world(layout, index="tea")
    await opened.move()
    app.delete(f"{prefix}1", *app.keys("chatstore:*"))
    await opened.move_back()
    assert app.hgetall(f"{prefix}1") == before

"""What a search index says that a document or a scan cannot follow is refused, in words that help."""

import pytest

from chatstore.errors import ConfigurationError, InvalidRecordError
from chatstore.models import Embedding, NewDocument, UpsertDocuments, utc_now
from tests.redis.documents.conftest import OWNER


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


@pytest.mark.parametrize("numbers", ["FLOAT16", "BFLOAT16"])
async def test_a_number_too_great_for_the_index_is_refused_as_an_invalid_record(app, world, numbers):
    make_index(app, numbers, "tea:")
    one = await world("redisvl", index="tea")
    document = NewDocument(id="1", text="x", embedding=Embedding.of([3.4e38, 1.0]))
    with pytest.raises(InvalidRecordError, match="infinity"):
        await one.old.write(UpsertDocuments(user_id=OWNER, documents=(document,), at=utc_now()))
    assert app.exists("tea:1") == 0

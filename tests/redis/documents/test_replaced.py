"""What chatstore knows of a record, its title say or its user, is not another program's that lies there now."""

import json
import struct

import pytest

from chatstore.errors import LayoutError
from chatstore.models import Embedding, NewDocument, from_micros
from tests.redis.documents.conftest import OWNER

CASES = ["hash", "json", "vector-set"]


def floats(*numbers):
    return struct.pack(f"<{len(numbers)}f", *numbers)


class Kind:
    """A layout with one document of chatstore's, which another program writes."""

    def __init__(self, case, app):
        self.case, self.app = case, app
        self.layout, self.index = {
            "hash": ("langchain", "tea"),
            "json": ("redisvl", "tea"),
            "vector-set": ("vector-set", "set"),
        }[case]
        if case == "json":
            vector = ["VECTOR", "FLAT", "6", "TYPE", "FLOAT32", "DIM", "2", "DISTANCE_METRIC", "COSINE"]
            schema = ["$.content", "AS", "content", "TEXT", "$.v", "AS", "v", *vector]
            app.execute_command("FT.CREATE", "tea", "ON", "JSON", "PREFIX", "1", "tea:", "SCHEMA", *schema)

    def delete(self):
        if self.case == "vector-set":
            self.app.execute_command("VREM", "set", "1")
        else:
            assert self.app.delete("doc:tea:1" if self.case == "hash" else "tea:1") == 1

    def write(self, text, *numbers):
        if self.case == "hash":
            self.app.hset("doc:tea:1", mapping={"content": text, "content_vector": floats(*numbers)})
        elif self.case == "json":
            self.app.execute_command("JSON.SET", "tea:1", "$", json.dumps({"content": text, "v": numbers}))
        else:
            attributes = ("SETATTR", json.dumps({"text": text}, separators=(",", ":")))
            self.app.execute_command("VADD", "set", "FP32", floats(*numbers), "1", *attributes)


@pytest.fixture(params=CASES)
def kind(request, app):
    return Kind(request.param, app)


NEW = NewDocument("mine", id="1", embedding=Embedding.of([1.0, 2.0]), title="a title", url="https://tea.example")


async def test_what_another_program_puts_in_its_place_has_no_title_and_no_time_of_ours(world, kind):
    opened = await world(kind.layout, index=kind.index)
    await opened.old.upsert(OWNER, NEW)
    kind.delete()
    kind.write("another", 3.0, 4.0)
    for found in [await opened.old.get(OWNER, "1"), *(await opened.old.list_documents(OWNER)).items]:
        assert (found.text, found.title, found.url) == ("another", "", "")
        assert found.created_at == from_micros(0)
    await opened.move()
    assert (await opened.new.get(OWNER, "1")).title == ""


async def test_nor_has_it_our_user(world, kind):
    opened = await world(kind.layout, index=kind.index, owners=None)
    await opened.old.upsert(OWNER, NEW)
    kind.delete()
    kind.write("another", 3.0, 4.0)
    pages = [page async for page in opened.old.scan()]
    assert [one for page in pages for one in page.changes] == []
    [bad] = [one for page in pages for one in page.quarantined]
    assert "nobody" in bad.reason
    with pytest.raises(LayoutError, match="nobody"):
        await opened.old.get(OWNER, "1")
    assert (await opened.old.list_documents(OWNER)).items == ()
    with pytest.raises(LayoutError, match="nobody"):
        await opened.old.upsert(OWNER, NEW)
    mapped = await world(kind.layout, index=kind.index)
    assert (await mapped.old.get(OWNER, "1")).title == ""


@pytest.mark.parametrize("change", [("other text", 1.0, 2.0), ("mine", 3.0, 4.0)])
async def test_a_change_of_the_text_or_of_the_embedding_alone_leaves_them(world, kind, change):
    opened = await world(kind.layout, index=kind.index, owners=None)
    [stored] = await opened.old.upsert(OWNER, NEW)
    kind.write(*change)
    found = await opened.old.get(OWNER, "1")
    assert (found.text, found.title, found.url, found.created_at) == (change[0], "a title", NEW.url, stored.created_at)
    assert found.version > stored.version
    # A scan writes the change down, so that the next one is told from a replacement.
    await opened.move()
    kind.write("other text", 3.0, 4.0)
    assert (await opened.old.get(OWNER, "1")).title == "a title"

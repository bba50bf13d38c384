"""Several documents in one call: few round trips, none left out because it cannot be read, and large ones alone."""

import pytest

from chatstore.errors import LayoutError
from chatstore.models import Embedding, NewDocument

EAST = Embedding.of([1, 0])


@pytest.fixture
def round_trips(client, monkeypatch):
    """How many commands each round trip has had since the test began to ask."""
    made, ask, ask_all = [], client.ask, client.ask_all

    async def counted(*command):
        made.append(1)
        return await ask(*command)

    async def all_counted(commands):
        commands = list(commands)
        made.append(len(commands))
        return await ask_all(commands)

    monkeypatch.setattr(client, "ask", counted)
    monkeypatch.setattr(client, "ask_all", all_counted)
    return made


def new(name, text="text"):
    return NewDocument(text, id=name, embedding=EAST)


async def test_hundreds_take_a_few_round_trips(documents, round_trips):
    stored = await documents.upsert("ann", [new(f"d{number}") for number in range(450)])
    await documents.get_many("ann", ["d1"])
    round_trips.clear()
    assert await documents.get_many("ann", [document.id for document in stored[::-1]]) == stored[::-1]
    assert round_trips == [200, 200, 50]


async def test_large_ones_are_read_alone_and_stay_in_their_places(documents, round_trips):
    texts = ["small", "x" * 200_000, "small, too", "y" * 3_000_000]
    stored = await documents.upsert("ann", [new(f"d{number}", text) for number, text in enumerate(texts)])
    others = await documents.upsert("ben", new("large, of another", "z" * 200_000))
    await documents.get_many("ann", ["d0"])
    round_trips.clear()
    asked = [*(document.id for document in stored[::-1]), others[0].id]
    assert await documents.get_many("ann", asked) == stored[::-1]
    assert round_trips == [5, 1, 1]
    assert [document.id for document in (await documents.list_documents("ann")).items] == [one.id for one in stored][
        ::-1
    ]


async def test_one_that_cannot_be_read_is_an_error_and_not_as_one_that_is_not_there(documents, client):
    [good, _, gone] = await documents.upsert("ann", [new("good"), new("bad"), new("gone")])
    await client.hset("document:bad", "embedding", "[1, ")
    await client.delete("document:gone")
    await client.set("document:counter", 1)
    for bad in ("bad", "counter"):
        with pytest.raises(LayoutError, match=f"document:{bad}"):
            await documents.get_many("ann", ["good", bad])
    assert await documents.get_many("ann", ["gone", "good"]) == [good]
    assert await documents.get_many("ben", ["bad", gone.id]) == []


async def test_what_other_programs_wrote_is_read_as_it_is(documents, client):
    [ours] = await documents.upsert("ann", new("ours"))
    fields = {"content": "theirs", "userId": "ann", "embedding": "[0, 1]", "createdAt": "1", "updatedAt": "2"}
    await client.hset("document:theirs", mapping=fields)
    found = await documents.get_many("ann", ["theirs", "ours"])
    assert [document.text for document in found] == ["theirs", "text"]
    assert found == [await documents.get("ann", "theirs"), ours]

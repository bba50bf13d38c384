"""A collection is opened, and made, by several calls at once."""

from chatstore.chroma.records import Record
from chatstore.testing.samples import EAST


async def test_a_write_goes_on_though_a_read_forgets_the_collection_that_it_made(documents, monkeypatch):
    collection = documents._collections.named("made-by-a-write")
    run = documents._client.run

    async def forget_meanwhile(method, /, **arguments):
        answer = await run(method, **arguments)
        if arguments.get("include") == []:
            # As a read does that looked before the collection was made, and hears now that there is none.
            collection._handle = None
        return answer

    monkeypatch.setattr(documents._client, "run", forget_meanwhile)
    await collection.upsert([Record(id="one", metadata={"n": 1}, embedding=EAST)])
    assert [record.id for record in await collection.get()] == ["one"]

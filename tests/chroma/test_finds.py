"""Whether the index has a document among the nearest to its own embedding."""

from dataclasses import replace

from chatstore.models import NewDocument
from chatstore.testing.samples import EAST, NORTH


async def test_what_the_index_has_is_found_and_nothing_else_is(documents):
    [east, north] = await documents.upsert(
        "u", [NewDocument("east", embedding=EAST), NewDocument("north", embedding=NORTH)]
    )
    assert await documents.finds(east)
    assert await documents.finds(north)
    assert not await documents.finds(replace(east, embedding=NORTH))
    assert not await documents.finds(replace(east, id="nobody"))
    assert not await documents.finds(replace(east, user_id="somebody else"))
    assert not await documents.finds(replace(east, embedding=None))


async def test_what_is_behind_ten_of_the_same_is_left_to_a_search(documents):
    stored = await documents.upsert("u", [NewDocument(str(at), embedding=EAST) for at in range(30)])
    assert sum([await documents.finds(one) for one in stored]) == 10

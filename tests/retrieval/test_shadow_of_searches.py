"""Searches at `shadow` over a real Redis and a real Chroma: both sides' answers are compared as the app asked for it."""

import pytest

import chatstore
from chatstore import Embedding, NewDocument
from chatstore.models import Stage
from chatstore.routing import Outcome, SearchTolerance, document_repairer
from chatstore.settings import load_settings
from tests.flags import Flags
from tests.routing.flags.services import until

QUERY = Embedding.of([1.0, 0.0, 0.0])
ALL = SearchTolerance(least_overlap=1.0)


@pytest.fixture
def given(redis_database, chroma_url):
    """The settings of an app with both sides."""
    return load_settings(_env_file=None, redis_url=redis_database, chroma_url=chroma_url)


@pytest.fixture
async def shadowed(given, namespace):
    """A function that opens the stores at `shadow`, with twelve documents on both sides and what is told of searches."""
    flags = Flags(Stage.DUALWRITE)
    documents = [
        NewDocument(f"a secret {number}", id=f"d{number:02}", embedding=Embedding.of([1.0, number / 10, 0.5]))
        for number in range(12)
    ]
    async with chatstore.open(given, flags=flags.client, repair=False) as stores:
        await stores.documents.upsert(namespace, documents)
        await stores.documents.replicator.drain()
        while (await stores.documents.sides.backlog()).marks:
            await document_repairer(stores.documents.sides).run()
    flags.set(Stage.SHADOW)
    return flags


async def lose_a_document(given, user):
    """Another program deletes in Chroma, and no mark says so; another document comes in its place."""
    async with chatstore.open(given, flags=Flags(Stage.OFF).client, repair=False) as stores:
        await stores.documents.sides.new.delete(user, ["d03"])


async def searched(given, flags, user, **options):
    told = []
    async with chatstore.open(given, flags=flags.client, repair=False, on_comparison=told.append, **options) as stores:
        assert len(await stores.documents.search(user, QUERY, k=10)) == 10
        await stores.documents.shadow.drain()
        counts = stores.documents.shadow.counts
    [one] = told
    return one, counts


async def test_both_sides_find_the_same(given, shadowed, namespace):
    told, counts = await searched(given, shadowed, namespace, search_tolerance=ALL)
    assert (told.outcome, told.agreement.k, told.agreement.overlap) == (Outcome.EQUAL, 10, 1.0)
    assert told.agreement.score_difference < 1e-6
    assert (counts.searches, counts.overlap) == (1, 1.0)


async def test_a_match_of_ten_that_chroma_does_not_find_is_counted(given, shadowed, namespace):
    await lose_a_document(given, namespace)
    told, counts = await searched(given, shadowed, namespace)
    assert (told.outcome, told.agreement.overlap) == (Outcome.EQUAL, 0.9)
    assert (counts.searches, counts.overlap, counts.least_overlap) == (1, 0.9, 0.9)


async def test_an_app_that_tolerates_no_other_match_is_told_of_a_mismatch(given, shadowed, namespace):
    await lose_a_document(given, namespace)
    told, counts = await searched(given, shadowed, namespace, search_tolerance=ALL)
    assert (told.outcome, counts.mismatched) == (Outcome.MISMATCHED, 1)
    assert told.detail.startswith("fewer than 100% of the matches are the same (overlap@10 0.90")
    assert "secret" not in repr(told)


async def test_blocking_callers_say_it_as_well(given, shadowed, namespace):
    await lose_a_document(given, namespace)
    told = []
    with chatstore.open_blocking(
        given, flags=shadowed.client, on_comparison=told.append, search_tolerance=ALL
    ) as stores:
        stores.documents.search(namespace, QUERY, k=10)
        await until(lambda: told)
    assert told[0].outcome is Outcome.MISMATCHED

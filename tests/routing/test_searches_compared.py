"""Searches at `shadow`: how far both sides agree is counted and told, and what is too far is a mismatch."""

import logging
import math

import pytest

from chatstore.errors import ConfigurationError
from chatstore.models import Document, Embedding, Kind, Match, NewDocument, Stage, from_micros
from chatstore.routing import Agreement, SearchTolerance, Tracking
from chatstore.routing.agreement import agreement
from chatstore.routing.flags.opening import open_flags
from tests.routing.flags.services import Service, until
from tests.routing.pair import document_pair

TOLERANCE = SearchTolerance()
QUERY = Embedding.of([1.0, 0.0])


def hits(**scores):
    """An answer: a document of each name, with its score."""
    at = from_micros(1)
    return [
        Match(Document(id=name, user_id="u", text="", embedding=None, created_at=at, updated_at=at), s)
        for name, s in scores.items()
    ]


@pytest.mark.parametrize(
    ("left", "right", "overlap"),
    [
        (hits(a=0.9, b=0.5), hits(a=0.9, b=0.5), 1.0),
        (hits(a=0.9, b=0.5), hits(b=0.5, a=0.9), 1.0),
        (hits(a=0.9, b=0.5), hits(c=0.9, d=0.4), 0.0),
        (hits(a=0.9, b=0.8, c=0.7, d=0.6), hits(a=0.9, b=0.8, c=0.7, e=0.2), 0.75),
        (hits(a=0.9, b=0.8, c=0.7, d=0.6), hits(b=0.8, c=0.7, d=0.6, e=0.2), 0.75),
        (hits(a=0.9), [], 0.0),
        (hits(a=0.9, b=0.5), hits(a=0.9), 0.5),
        ([], [], 1.0),
    ],
)
def test_the_overlap_is_the_share_of_matches_that_both_have(left, right, overlap):
    assert agreement(left, right, TOLERANCE).overlap == overlap
    assert agreement(right, left, TOLERANCE).overlap == overlap


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (hits(a=0.9, b=0.5), hits(a=0.9, c=0.5)),
        (hits(a=0.9, b=0.5, c=0.5), hits(a=0.9, d=0.5, e=0.50005)),
        (hits(a=0.5, b=0.5), hits(c=0.5, d=0.5)),
        (hits(a=9000.0, b=5000.1), hits(a=9000.0, c=5000.0)),
    ],
)
def test_which_of_the_documents_that_tie_at_the_last_place_is_returned_does_not_matter(left, right):
    assert agreement(left, right, TOLERANCE).overlap == 1.0
    assert agreement(right, left, TOLERANCE).overlap == 1.0


def test_a_document_that_is_worse_than_the_last_place_of_the_other_side_is_no_tie():
    assert agreement(hits(a=0.9, b=0.5), hits(a=0.9, c=0.4), TOLERANCE).overlap == 0.5


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [(0.5, 0.50009, True), (0.5, 0.5002, False), (1000.0, 1000.09, True), (1000.0, 1000.2, False), (-0.5, 0.5, False)],
)
def test_scores_are_the_same_within_the_tolerance_and_large_ones_within_a_share_of_them(one, other, same):
    assert TOLERANCE.allows(one, other) is same
    assert TOLERANCE.allows(other, one) is same


def test_a_score_that_is_no_number_is_far_from_all_others():
    found = agreement(hits(a=math.nan), hits(a=0.5), TOLERANCE)
    assert found.score_difference == math.inf
    assert not TOLERANCE.allows(math.nan, 0.5)


@pytest.mark.parametrize("wrong", [{"least_overlap": 1.1}, {"least_overlap": -0.1}, {"least_overlap": math.nan}])
def test_an_overlap_that_no_two_answers_can_have_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="from 0 to 1"):
        SearchTolerance(**wrong)


@pytest.mark.parametrize("wrong", [-1e-9, math.nan, math.inf])
def test_a_tolerance_that_allows_nothing_or_everything_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="0 or more"):
        SearchTolerance(score=wrong)


@pytest.fixture
async def documents():
    """A router at `shadow`, with 20 documents of falling scores on both sides, and what it reports of mismatches."""
    router, _ = await document_pair(Stage.SHADOW)
    router.shadow._pause = 0
    router.mismatches = []
    router.shadow._on_mismatch = router.mismatches.append
    await router.upsert(
        "u",
        [
            NewDocument(f"a text {number}", id=f"d{number:02}", embedding=Embedding.of([1.0, number / 10]))
            for number in range(20)
        ],
    )
    yield router
    await router.close()


def lose(router, *ids, stand_in=True):
    """The new side's search does not find these; others, or nothing, stand in for them."""
    search = router.sides.new.search_by_embedding

    async def approximate(user_id, embedding, *, k, where):
        found = await search(user_id, embedding, k=k + len(ids) if stand_in else k, where=where)
        return [match for match in found if match.document.id not in ids][:k]

    router.sides.new.search_by_embedding = approximate


async def searched(router, k=10):
    await router.search("u", QUERY, k=k)
    await router.shadow.drain()
    return router.shadow.counts


async def test_equal_searches_overlap_wholly(documents):
    counts = await searched(documents)
    assert (counts.equal, counts.searches, counts.overlap, counts.least_overlap) == (1, 1, 1.0, 1.0)
    assert counts.score_difference == 0.0
    assert documents.mismatches == []


async def test_what_an_approximate_index_misses_now_and_then_is_counted_and_no_mismatch(documents):
    lose(documents, "d04")
    await searched(documents)
    counts = await searched(documents, k=3)
    assert (counts.equal, counts.mismatched, counts.searches) == (2, 0, 2)
    assert (counts.overlap, counts.least_overlap) == (0.95, 0.9)


async def test_an_index_that_misses_more_is_a_mismatch_told_by_numbers_alone(documents, caplog):
    lose(documents, "d04", "d07")
    with caplog.at_level(logging.WARNING, "chatstore.routing"):
        counts = await searched(documents)
    [mismatch] = documents.mismatches
    assert (mismatch.operation, mismatch.key) == ("search", "")
    assert mismatch.detail == ("fewer than 90% of the matches are the same (overlap@10 0.80, scores differ by up to 0)")
    assert (counts.mismatched, counts.least_overlap) == (1, 0.8)
    assert "overlap@10 0.80" in caplog.text
    assert "a text" not in caplog.text
    assert "d04" not in caplog.text


async def test_how_much_may_be_missed_can_be_set(documents):
    lose(documents, "d04")
    documents.shadow._tolerance = SearchTolerance(least_overlap=1.0)
    assert (await searched(documents)).mismatched == 1


async def test_a_side_that_finds_fewer_is_a_mismatch_whatever_the_overlap(documents):
    lose(documents, "d04", stand_in=False)
    counts = await searched(documents)
    assert counts.mismatched == 1
    assert documents.mismatches[0].detail.startswith("10 matches on one side, 9 on the other")


async def test_another_score_of_the_same_document_is_a_mismatch(documents):
    search = documents.sides.new.search_by_embedding

    async def by_another_measure(*args, **options):
        return [Match(match.document, match.score * 0.99) for match in await search(*args, **options)]

    documents.sides.new.search_by_embedding = by_another_measure
    counts = await searched(documents, k=3)
    assert counts.mismatched == 1
    assert (counts.least_overlap, round(counts.score_difference, 6)) == (1.0, 0.01)
    assert documents.mismatches[0].detail == (
        "the document at place 0 has another score (overlap@3 1.00, scores differ by up to 0.01)"
    )


async def test_another_content_of_a_document_is_a_mismatch_that_names_the_field(documents):
    await documents.sides.new.upsert("u", NewDocument("a secret", id="d02", embedding=Embedding.of([1.0, 0.2])))
    await searched(documents)
    assert documents.mismatches[0].detail.startswith("at place 2: document differs in text")
    assert "secret" not in documents.mismatches[0].detail


async def test_a_search_whose_difference_a_mark_explains_does_not_count_towards_the_overlap(documents):
    documents.sides.new.broken = True
    await documents.upsert("u", NewDocument("new", id="d99", embedding=Embedding.of([1.0, 0.0])))
    counts = await searched(documents, k=30)
    assert (counts.pending, counts.mismatched, counts.searches, counts.overlap) == (1, 0, 0, None)


async def test_the_flag_service_is_told_the_overlap():
    service = Service(Stage.SHADOW).provide()
    async with open_flags(service.domain, None, tracking=Tracking(share=1.0, per_second=1000)) as flags:
        router, _ = await document_pair(Stage.SHADOW)
        router.shadow = flags.shadow(Kind.DOCUMENTS)
        router._reads._shadow = router.shadow
        await router.upsert("u", NewDocument("a text", id="d", embedding=QUERY))
        await router.search("u", QUERY, k=4)
        await router.count_documents("u")
        await router.shadow.drain()

        def compared():
            return [d.attributes for event, _, d in list(service.tracked) if event == "chatstore.compared"]

        await until(lambda: len(compared()) == 2)
        by_operation = {attributes["operation"]: attributes for attributes in compared()}
        assert by_operation["search"]["overlap"] == 1.0
        assert by_operation["search"]["score_difference"] == 0.0
        assert "overlap" not in by_operation["count_documents"]
        await router.close()


def test_as_text_it_is_the_numbers_alone():
    assert str(Agreement(10, 0.9, 0.00012345)) == "overlap@10 0.90, scores differ by up to 0.00012"

"""Filters as Chroma understands them, against what `Filter.matches` says."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatstore.chroma import ChromaDocuments, Single
from chatstore.chroma.filters import where_of
from chatstore.errors import InvalidRecordError
from chatstore.models import Embedding, NewDocument
from chatstore.models.filters import parse_filter

EAST = Embedding.of([1, 0])
FIELDS = ("a", "created_at", "#tag", "title")
HELD = [
    {},
    {"a": 1, "created_at": "then", "#tag": True},
    {"a": 1.0, "created_at": 5},
    {"a": True, "#tag": "x"},
    {"a": "1", "title": "hidden"},
    {"a": "tea"},
    {"a": [1, 2], "#tag": ["x", "y"]},
    {"a": None, "created_at": {}},
    {"a": 1.5},
    {"a": 2**53 + 1},
    {"a": False},
    {"a": "nul \x00 in it"},
    {"a": ""},
]
scalars = st.sampled_from(
    [0, 1, 1.0, 1.5, True, False, "1", "tea", "", "x", "then", 2**53 + 1, 2.0**53, 2**70, "doc 3"]
)
numbers = st.sampled_from([0, 1, 1.0, 1.2, -3, 2**53, 2**70, 1e300])
conditions = (
    scalars
    | st.builds(lambda op, value: {op: value}, st.sampled_from(["$eq", "$ne"]), scalars)
    | st.builds(lambda op, value: {op: value}, st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), numbers)
    | st.builds(
        lambda op, values: {op: values}, st.sampled_from(["$in", "$nin"]), st.lists(scalars, min_size=1, max_size=5)
    )
)
leaves = st.dictionaries(st.sampled_from(FIELDS), conditions, min_size=1, max_size=2)
filters = st.recursive(
    leaves,
    lambda inner: st.builds(
        lambda op, parts: {op: parts}, st.sampled_from(["$and", "$or"]), st.lists(inner, min_size=1, max_size=3)
    ),
    max_leaves=5,
)


@pytest.fixture(params=[None, Single()], ids=["own", "shared"])
async def filled(request, client):
    documents = ChromaDocuments(client, plan=request.param)
    news = [
        NewDocument(str(at), id=str(at), embedding=EAST, title=f"doc {at}", metadata=metadata)
        for at, metadata in enumerate(HELD)
    ]
    await documents.upsert("u", news)
    await documents.upsert("other", NewDocument("secret", id="0", embedding=EAST, title="doc 0", metadata={"a": 1}))
    return documents


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=filters)
async def test_chroma_finds_what_the_filter_matches(filled, where):
    wanted = parse_filter(where)
    expected = {
        str(at) for at, metadata in enumerate(HELD) if wanted.matches({**metadata, "title": f"doc {at}", "url": ""})
    }
    matches = await filled.search("u", EAST, k=50, where=where)
    assert {match.document.text for match in matches} == expected
    # Chroma alone finds the same: asking the documents again is for leftovers only.
    scope = {"user_id": "u"}
    found = await filled._holdings.of_user("u").get(where=where_of(wanted, scope))
    assert {filled._holdings.plan.document_id(record.id) for record in found} == expected


async def test_a_filter_nested_as_deep_as_is_allowed_works(filled):
    where = {"a": "tea"}
    for _ in range(16):
        where = {"$and": [where, {"a": "tea"}]}
    assert [match.document.text for match in await filled.search("u", EAST, where=where)] == ["5"]


@pytest.mark.parametrize(
    "where", [{"a": {"$in": list(range(10_001))}}, {"a": 10**400}, {"$and": [{"a": {"$in": [1] * 6000}}] * 2}]
)
async def test_a_filter_that_chroma_cannot_take_is_refused(filled, where):
    with pytest.raises(InvalidRecordError):
        await filled.search("u", EAST, where=where)


@pytest.mark.parametrize(
    "where", [{"user_id": {"$ne": "u"}}, {"$or": [{"a": 1}, {"user_id": "other"}]}, {"chroma:document": "secret"}]
)
async def test_a_filter_never_reaches_another_user(filled, where):
    texts = {match.document.text for match in await filled.search("u", EAST, k=50, where=where)}
    assert "secret" not in texts

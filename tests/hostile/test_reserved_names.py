"""Metadata under names that mean something to chatstore, to Chroma or to a filter: found as they are, and by nobody else."""

import pytest

from chatstore.errors import InvalidRecordError
from chatstore.models import Embedding, NewDocument

EAST = Embedding.of([1, 0])

FOUND = [
    *("user_id", "version", "created_at", "updated_at", "expires_at", "chatstore"),
    *("chatstore:", "chatstore:length", "chatstore:title", "chatstore:chatstore:", "length"),
    *("chroma:document", "chroma:embedding", "chroma:", "#document", "#embedding", "#", "#id"),
    *("id", "_id", "document", "text", "content", "embedding", "metadata", "extra", "fields", "owner", "userId"),
    *(
        "",
        " ",
        ".",
        "a.b",
        "a.$ne",
        "a[0]",
        "*",
        "%",
        '"',
        "'",
        "\\",
        "/",
        "a\0",
        "\ufdd0",
        "\ufdd00000",
        "\u202e",
        "é",
        "e\u0301",
    ),
    *("__proto__", "constructor", "None", "null", "1", "true", "x" * 1024),
]
"""What a filter may name as well."""
HELD = ["$and", "$or", "$eq", "$ne", "$", "$not", "$contains", "title", "url", "x" * 1025]
"""What a document's metadata may have, but no filter finds: an operator, what a document has besides, and what is too long for it."""
STORES = ("redis", "chroma", "chroma-shared", "router")
OWN, OTHER = "reserved|own", "reserved|other"


def value_of(name):
    return f"of {NAMES.index(name)}"


NAMES = [*FOUND, *HELD]


@pytest.fixture(scope="module")
async def filled(document_stores):
    """The stores, in which two users have a document for each name, and one with them all."""
    for documents in document_stores.values():
        for user in (OWN, OTHER):
            news = [
                NewDocument(user, id=f"{user} {value_of(name)}", embedding=EAST, metadata={name: value_of(name)})
                for name in NAMES
            ]
            together = {name: [value_of(name)] for name in NAMES} | {"count": 5}
            await documents.upsert(
                user, [*news, NewDocument(user, id=f"{user} all", embedding=EAST, metadata=together)]
            )
    return document_stores


@pytest.mark.parametrize("store", STORES)
async def test_what_is_stored_under_a_name_comes_back_under_it(filled, store):
    for user in (OWN, OTHER):
        listed = (await filled[store].list_documents(user, limit=1000)).items
        found = {document.id: document.metadata for document in listed}
        assert found.pop(f"{user} all") == {name: [value_of(name)] for name in NAMES} | {"count": 5}
        assert found == {f"{user} {value_of(name)}": {name: value_of(name)} for name in NAMES}


@pytest.mark.parametrize("store", STORES[:-1])
async def test_a_filter_by_a_name_finds_what_its_user_has_under_it(filled, store):
    for name in FOUND:
        found = await filled[store].search(OWN, EAST, where={"$and": [{name: {"$in": [value_of(name), "x"]}}]})
        assert [match.document.id for match in found] == [f"{OWN} {value_of(name)}"], name


@pytest.mark.parametrize("store", STORES)
async def test_a_filter_by_what_is_no_name_is_refused_or_finds_nothing(filled, store):
    for name in HELD:
        search = filled[store].search(OWN, EAST, where={name: value_of(name)})
        if name in ("title", "url"):
            assert await search == []
            continue
        with pytest.raises(InvalidRecordError) as caught:
            await search
        assert len(str(caught.value)) < 200


async def test_a_name_of_10_mb_is_held(document_stores, both, namespace):
    new = NewDocument("x", id="d", embedding=EAST, metadata={"x" * 10_000_000: 1})
    documents = document_stores["router"]
    await documents.upsert(namespace, new)
    assert (await documents.get(namespace, "d")).metadata == new.metadata
    assert await both(documents, lambda side: side.get(namespace, "d"))


TRIES = {
    "another user": {"user_id": OTHER},
    "not oneself": {"user_id": {"$ne": OWN}},
    "anybody": {"$or": [{"user_id": {"$ne": ""}}, {"user_id": {"$nin": [OWN]}}]},
    "this or another": {"$or": [{"user_id": OWN}, {"user_id": OTHER}, {"title": ""}]},
    "any version": {"$or": [{"version": {"$gt": -1}}, {"count": 5}]},
    "a name of ours": {"chatstore:user_id": {"$ne": OWN}},
    "a name of Chroma's": {"#document": {"$ne": "x"}},
    "all of it, deep": {"$or": [{"$and": [{"$or": [{"user_id": {"$in": [OTHER]}}]}]}, {"x": {"$ne": 1}}]},
}


@pytest.mark.parametrize("store", STORES)
async def test_no_filter_leaves_its_user(filled, store):
    for name, where in TRIES.items():
        found = await filled[store].search(OWN, EAST, where=where, k=1000)
        assert {match.document.user_id for match in found} <= {OWN}, name
        assert {match.document.text for match in found} <= {OWN}, name

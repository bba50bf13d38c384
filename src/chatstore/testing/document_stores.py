"""The conformance suite of document stores, as an app sees them; its fixture is `documents`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from chatstore.errors import ConfigurationError, InvalidRecordError, NotFoundError
from chatstore.interfaces import DocumentStore
from chatstore.models import (
    Document,
    Embedding,
    JsonObject,
    NewDocument,
    new_id,
    utc_now,
)
from chatstore.testing.samples import EARLY, EAST, NORTH, NORTHEAST, RICH, document


class DocumentStoreSuite:
    """What an app may rely on, of any `DocumentStore`; its fixture is `documents`."""

    async def test_a_written_document_is_found_again_whole(self, documents: DocumentStore) -> None:
        user = new_id()
        embedding = Embedding.of([0.1, -1e-30, 3.4e38])
        new = NewDocument(
            "naïve 🦊 text",
            embedding=embedding,
            title="a title",
            url="https://example.org/?q=1",
            metadata={**RICH, "title": "shadowed", "tags": ["a", "b"], "tiny": 5e-324, "big": 10**30},
            created_at=EARLY,
            extra={"odd": "field"},
        )
        [stored] = await documents.upsert(user, new)
        assert (stored.id, stored.user_id, stored.text, stored.embedding) == (new.id, user, new.text, embedding)
        assert (stored.title, stored.url, stored.metadata) == (new.title, new.url, new.metadata)
        assert (stored.created_at, stored.extra) == (EARLY, {"odd": "field"})
        assert await documents.get(user, new.id) == stored

    async def test_writing_again_replaces_and_keeps_when_it_was_created(self, documents: DocumentStore) -> None:
        user = new_id()
        new = document("one", metadata={"a": 1})
        [first] = await documents.upsert(user, new)
        [second] = await documents.upsert(user, replace(new, text="two", metadata={"b": 2}, created_at=utc_now()))
        assert (second.text, second.metadata, second.created_at) == ("two", {"b": 2}, first.created_at)
        assert second.version > first.version
        assert second.updated_at > first.updated_at
        assert await documents.get(user, new.id) == second
        assert await documents.count_documents(user) == 1

    async def test_several_come_in_the_order_of_their_ids(self, documents: DocumentStore) -> None:
        user, other = new_id(), new_id()
        one, two, three = await documents.upsert(
            user, [document("one", metadata=RICH), document("two"), document("three", NORTH)]
        )
        [foreign] = await documents.upsert(other, document("foreign"))
        await documents.delete(user, [two.id])
        asked = [three.id, "nobody", foreign.id, one.id, two.id, three.id, one.id]
        assert await documents.get_many(user, asked) == [three, one]
        assert await documents.get_many(user, (one.id,)) == [one]
        assert await documents.get_many(other, asked) == [foreign]
        assert await documents.get_many(new_id(), asked) == []
        assert await documents.get_many(user, [two.id, "nobody"]) == []

    async def test_thousands_may_be_asked_for(self, documents: DocumentStore) -> None:
        user = new_id()
        stored = await documents.upsert(user, [document(str(place)) for place in range(4)])
        ids = [f"nobody-{place}" for place in range(2000)]
        for place, held in zip((0, 199, 1500, 2003), stored, strict=True):
            ids.insert(place, held.id)
        assert await documents.get_many(user, ids) == stored

    async def test_no_ids_are_no_documents_and_bad_ones_are_refused(self, documents: DocumentStore) -> None:
        [stored] = await documents.upsert(new_id(), document("one"))
        assert await documents.get_many(stored.user_id, []) == []
        too_many = [stored.id] * 100_001
        for bad in (stored.id, [stored.id, ""], [stored.id, "\ud800"], ["x" * 1025], {stored.id: 1}, None, too_many):
            with pytest.raises(InvalidRecordError):
                await documents.get_many(stored.user_id, bad)  # type: ignore[arg-type] # what an untyped caller may give
        with pytest.raises(InvalidRecordError):
            await documents.get_many("", [])

    async def test_another_users_document_is_as_one_that_is_not_there(self, documents: DocumentStore) -> None:
        owner, other = new_id(), new_id()
        [mine] = await documents.upsert(owner, document("mine"))
        with pytest.raises(NotFoundError):
            await documents.get(other, mine.id)
        assert await documents.delete(other, [mine.id]) == 0
        assert await documents.count_documents(other) == 0
        assert (await documents.list_documents(other)).items == ()
        assert await documents.search(other, EAST) == []
        assert await documents.get(owner, mine.id) == mine

    async def test_deleted_documents_are_gone(self, documents: DocumentStore) -> None:
        user = new_id()
        [one, two] = await documents.upsert(user, [document("one"), document("two")])
        assert await documents.delete(user, [one.id, "nobody"]) == 1
        assert await documents.delete(user, [one.id]) == 0
        with pytest.raises(NotFoundError):
            await documents.get(user, one.id)
        assert [match.document for match in await documents.search(user, EAST)] == [two]
        [again] = await documents.upsert(user, NewDocument("again", id=one.id, embedding=EAST))
        assert again.version > one.version
        assert await documents.get(user, one.id) == again

    async def test_documents_are_listed_newest_first_in_pages(self, documents: DocumentStore) -> None:
        user = new_id()
        news = [document(str(i)) for i in range(5)]
        for new in news:
            await documents.upsert(user, new)
        await documents.upsert(user, replace(news[1], text="touched"))
        listed: list[Document] = []
        after = None
        while True:
            page = await documents.list_documents(user, limit=2, after=after)
            assert len(page.items) <= 2
            listed += page.items
            if (after := page.next) is None:
                break
        assert [item.text for item in listed] == ["touched", "4", "3", "2", "0"]

    async def test_a_search_ranks_by_cosine_similarity(self, documents: DocumentStore) -> None:
        user = new_id()
        await documents.upsert(
            user,
            [
                document("north", NORTH),
                document("northeast", NORTHEAST),
                document("east", Embedding.of([5, 0, 0])),
                document("west", Embedding.of([-1, 0, 0])),
            ],
        )
        matches = await documents.search(user, EAST, k=10)
        assert [match.document.text for match in matches] == ["east", "northeast", "north", "west"]
        scores = [match.score for match in matches]
        assert scores == pytest.approx([1, math.sqrt(0.5), 0, -1], abs=1e-5)
        assert [match.document.text for match in await documents.search(user, EAST, k=2)] == ["east", "northeast"]

    async def test_equal_scores_are_ordered_by_id(self, documents: DocumentStore) -> None:
        user = new_id()
        ids = sorted(new_id() for _ in range(6))
        await documents.upsert(user, [NewDocument("same", id=name, embedding=EAST) for name in ids[::-1]])
        assert [match.document.id for match in await documents.search(user, EAST, k=6)] == ids

    @pytest.mark.parametrize(
        ("where", "found"),
        [
            ({"topic": "tea"}, "ab"),
            ({"topic": {"$ne": "tea"}}, "cd"),
            ({"year": {"$gt": 1990}}, "bc"),
            ({"year": {"$lte": 1990}}, "a"),
            ({"year": 1990}, "a"),
            ({"score": {"$gte": 0.5}}, "ac"),
            ({"topic": {"$in": ["coffee", "cocoa"]}}, "c"),
            ({"topic": {"$nin": ["coffee", "cocoa"]}}, "abd"),
            ({"$and": [{"topic": "tea"}, {"year": {"$lt": 2000}}]}, "a"),
            ({"$or": [{"topic": "coffee"}, {"year": 1990}]}, "ac"),
            ({"topic": "tea", "year": 2000}, "b"),
            ({"hot": True}, "ac"),
            ({"hot": 1}, ""),
            ({"year": "1990"}, ""),
            ({"title": "the b"}, "b"),
            ({"topic": {"$ne": "tea"}, "year": {"$ne": 2010}}, "d"),
        ],
    )
    async def test_a_search_is_filtered_by_metadata(
        self, documents: DocumentStore, where: JsonObject, found: str
    ) -> None:
        user = new_id()
        metadata: dict[str, JsonObject] = {
            "a": {"topic": "tea", "year": 1990, "score": 0.5, "hot": True},
            "b": {"topic": "tea", "year": 2000, "score": 0.25, "hot": False},
            "c": {"topic": "coffee", "year": 2010, "score": 1, "hot": True},
            "d": {"nested": {"topic": "tea"}},
        }
        await documents.upsert(
            user,
            [NewDocument(name, title=f"the {name}", embedding=EAST, metadata=held) for name, held in metadata.items()],
        )
        matches = await documents.search(user, EAST, k=10, where=where)
        assert sorted(match.document.text for match in matches) == sorted(found)

    @pytest.mark.parametrize(
        "where",
        [
            {},
            {"$and": []},
            {"x": {"$gt": "text"}},
            {"x": {"$near": 1}},
            {"x": {"$in": []}},
            {"x": None},
            {"x": {"y": {"z": 1}}},
            {"$or": "x"},
            {"$where": "1"},
        ],
    )
    async def test_a_malformed_filter_is_refused(self, documents: DocumentStore, where: JsonObject) -> None:
        with pytest.raises(InvalidRecordError):
            await documents.search(new_id(), EAST, where=where)

    async def test_a_filter_never_leaves_its_user(self, documents: DocumentStore) -> None:
        owner, other = new_id(), new_id()
        await documents.upsert(owner, document("secret", metadata={"a": 1}))
        await documents.upsert(other, document("own", metadata={"a": 1}))
        filters: tuple[JsonObject, ...] = (
            {"user_id": owner},
            {"user_id": {"$ne": other}},
            {"$or": [{"user_id": owner}, {"a": 1}]},
        )
        for where in filters:
            texts = {match.document.text for match in await documents.search(other, EAST, k=10, where=where)}
            assert texts <= {"own"}

    async def test_a_query_of_another_dimension_is_refused(self, documents: DocumentStore) -> None:
        user = new_id()
        await documents.upsert(user, document("three numbers"))
        with pytest.raises(InvalidRecordError):
            await documents.search(user, Embedding.of([1, 2]))

    async def test_without_an_embedder_text_alone_is_refused(self, documents: DocumentStore) -> None:
        with pytest.raises(ConfigurationError):
            await documents.upsert(new_id(), NewDocument("no vector"))
        with pytest.raises(ConfigurationError):
            await documents.search(new_id(), "a text")

    async def test_with_an_embedder_texts_are_embedded(self, documents: DocumentStore) -> None:
        async def embedder(texts: Sequence[str]) -> list[Embedding]:
            await asyncio.sleep(0)
            return [Embedding.of([len(text), 1]) for text in texts]

        user = new_id()
        documents.embedder = embedder
        try:
            given = NewDocument("given", embedding=Embedding.of([-1, 0]))
            stored = await documents.upsert(user, [NewDocument("four"), given, NewDocument("")])
            assert [item.embedding for item in stored] == [Embedding.of([4, 1]), given.embedding, Embedding.of([0, 1])]
            assert [match.document.text for match in await documents.search(user, "same", k=1)] == ["four"]
        finally:
            documents.embedder = None

    @pytest.mark.parametrize("name", ["*", "a:b", "{tag}", "../x", "null", "1", "é", "e\u0301", "auth0|x y@z"])
    async def test_any_text_is_an_id(self, documents: DocumentStore, name: str) -> None:
        user, document_id = (f"{name}{new_id()}{name}" for _ in range(2))
        [stored] = await documents.upsert(user, NewDocument("text", id=document_id, embedding=EAST))
        assert await documents.get(user, document_id) == stored
        assert await documents.get_many(user, [f"{document_id}x", document_id]) == [stored]
        assert [match.document for match in await documents.search(user, EAST)] == [stored]
        assert await documents.delete(user, [document_id]) == 1

    async def test_what_no_side_can_hold_is_refused(self, documents: DocumentStore) -> None:
        user = new_id()
        good = document("good")
        for bad in (
            [NewDocument("\ud800", embedding=EAST)],
            [NewDocument("x", embedding=EAST, metadata={"x": math.inf})],
            [NewDocument("x", embedding=EAST, id="")],
            [good, good],
        ):
            with pytest.raises(InvalidRecordError):
                await documents.upsert(user, bad)
        for numbers in ([], [math.nan], [1e39], ["x"]):
            with pytest.raises(InvalidRecordError):
                Embedding.of(numbers)  # type: ignore[arg-type] # what an untyped caller may give
        with pytest.raises(InvalidRecordError):
            await documents.search(user, EAST, k=0)
        assert await documents.count_documents(user) == 0

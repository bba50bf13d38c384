"""The conformance suite of document stores; used as `chatstore.testing.chat` says."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chatstore.errors import ConfigurationError, InvalidRecordError, NotFoundError
from chatstore.interfaces import DocumentSide, DocumentStore
from chatstore.models import (
    DeleteDocuments,
    Document,
    DocumentChange,
    DocumentKey,
    Embedding,
    JsonObject,
    Mark,
    NewDocument,
    UpsertDocuments,
    new_id,
    utc_now,
)
from chatstore.testing.chat import EARLY, RICH

EAST, NORTH, NORTHEAST = Embedding.of([1, 0, 0]), Embedding.of([0, 1, 0]), Embedding.of([1, 1, 0])


def document(text: str, embedding: Embedding = EAST, metadata: JsonObject | None = None) -> NewDocument:
    """Return a document to write."""
    return NewDocument(text, embedding=embedding, metadata=metadata or {})


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


class DocumentSideSuite:
    """What the router and the migrator may rely on, of any `DocumentSide`; its fixture is `document_side`."""

    async def test_each_document_gets_its_mark(self, document_side: DocumentSide) -> None:
        user = new_id()
        news = [document("one"), document("two")]
        marks = [self._mark(document_side, user, new.id) for new in news]
        await document_side.write(UpsertDocuments(user_id=user, documents=tuple(news)), marks)
        assert {mark.token for mark in await document_side.journal.marks_of(user)} == {mark.token for mark in marks}
        await document_side.journal.clear(marks)

    async def test_a_mark_while_open_is_kept_only_by_an_open_journal(self, document_side: DocumentSide) -> None:
        user, new = new_id(), document("one")
        command = UpsertDocuments(user_id=user, documents=(new,))
        mark = replace(self._mark(document_side, user, new.id), while_open=True)
        await document_side.journal.remember(journal_open=False)
        await document_side.write(command, [mark])
        assert list(await document_side.journal.marks_of(user)) == []
        await document_side.journal.remember(journal_open=True)
        await document_side.write(command, [mark])
        assert [m.token for m in await document_side.journal.marks_of(user)] == [mark.token]

    async def test_put_takes_a_document_as_it_is(self, document_side: DocumentSide) -> None:
        foreign = self._foreign(new_id(), metadata=RICH, text="")
        await document_side.put([DocumentChange(key=foreign.key, document=foreign)])
        assert await document_side.get(foreign.user_id, foreign.id) == foreign
        assert [item.id for item in (await document_side.list_documents(foreign.user_id)).items] == [foreign.id]

    async def test_the_newer_state_stays_whatever_arrives_late(self, document_side: DocumentSide) -> None:
        new = self._foreign(new_id(), version=20, text="new")
        old = replace(new, version=10, text="old")
        await document_side.put([DocumentChange(key=new.key, document=new)])
        await document_side.put([DocumentChange(key=old.key, document=old)])
        assert await document_side.get(new.user_id, new.id) == new

    async def test_a_late_put_brings_no_deleted_document_back(self, document_side: DocumentSide) -> None:
        user, new = new_id(), document("one")
        written = await document_side.write(UpsertDocuments(user_id=user, documents=(new,)))
        deleted = await document_side.write(DeleteDocuments(user_id=user, ids=(new.id, "nobody")))
        assert [change.key.id for change in deleted.changes] == [new.id]
        await document_side.put(written.changes)
        with pytest.raises(NotFoundError):
            await document_side.get(user, new.id)

    async def test_a_deletion_is_put_like_any_state(self, document_side: DocumentSide) -> None:
        kept, gone = self._foreign(new_id()), self._foreign(new_id())
        await document_side.put([DocumentChange(key=d.key, document=d) for d in (kept, gone)])
        await document_side.put([DocumentChange(key=gone.key, document=None, deleted=20)])
        await document_side.put([DocumentChange(key=kept.key, document=None, deleted=5)])
        assert await document_side.get(kept.user_id, kept.id) == kept
        assert await document_side.count_documents(gone.user_id) == 0
        [again] = await document_side.upsert(gone.user_id, NewDocument("again", id=gone.id, embedding=EAST))
        assert again.version > 20

    async def test_a_deletion_of_what_was_never_here_keeps_it_away(self, document_side: DocumentSide) -> None:
        foreign = self._foreign(new_id())
        await document_side.put([DocumentChange(key=foreign.key, document=None, deleted=20)])
        await document_side.put([DocumentChange(key=foreign.key, document=foreign)])
        assert await document_side.count_documents(foreign.user_id) == 0

    async def test_versions_grow_though_the_clock_of_the_other_side_is_ahead(self, document_side: DocumentSide) -> None:
        foreign = self._foreign(new_id(), version=4_000_000_000_000_000)
        await document_side.put([DocumentChange(key=foreign.key, document=foreign)])
        [own] = await document_side.upsert(foreign.user_id, NewDocument("own", id=foreign.id, embedding=EAST))
        assert own.version > foreign.version
        assert own.version & 1 == (document_side.side == "new")

    async def test_changes_tells_documents_and_deletions(self, document_side: DocumentSide) -> None:
        user = new_id()
        [one, two] = await document_side.upsert(user, [document("one"), document("two")])
        await document_side.delete(user, [two.id])
        keys = [DocumentKey(user, one.id), DocumentKey(user, two.id), DocumentKey(user, "nobody")]
        known = {change.key.id: change for change in (await document_side.changes(keys)).changes}
        assert set(known) == {one.id, two.id}
        assert known[one.id].document == one
        assert known[two.id].document is None
        assert known[two.id].deleted > two.version

    async def test_scan_yields_every_document_and_goes_on_from_a_cursor(self, document_side: DocumentSide) -> None:
        users = [new_id() for _ in range(3)]
        wanted = {}
        for user in users:
            stored = await document_side.upsert(user, [document(str(i)) for i in range(5)])
            wanted.update({(item.user_id, item.id): item for item in stored})
        found = {}
        cursor = None
        while True:
            scanning = document_side.scan(cursor)
            try:
                page = await anext(scanning)
            except StopAsyncIteration:
                break
            finally:
                await scanning.aclose()  # type: ignore[attr-defined] # a generator in all stores of ours
            for change in page.changes:
                if change.key.user_id in users:
                    found[change.key.user_id, change.key.id] = change.document
            if (cursor := page.cursor) is None:
                break
        assert found == wanted

    async def test_count_grows_with_what_is_written(self, document_side: DocumentSide) -> None:
        before = await document_side.count()
        await document_side.upsert(new_id(), [document("one"), document("two")])
        assert await document_side.count() == before + 2

    async def test_an_expired_document_is_not_seen(self, document_side: DocumentSide) -> None:
        user = new_id()
        later = utc_now().replace(microsecond=0) + timedelta(hours=1)
        kept = replace(self._foreign(user), expires_at=later)
        gone = replace(self._foreign(user), expires_at=utc_now() + timedelta(milliseconds=150))
        await document_side.put([DocumentChange(key=d.key, document=d) for d in (kept, gone)])
        await asyncio.sleep(0.3)
        assert await document_side.get(user, kept.id) == kept
        with pytest.raises(NotFoundError):
            await document_side.get(user, gone.id)
        assert [match.document.id for match in await document_side.search(user, EAST)] == [kept.id]
        scanned = [change.key.id async for page in document_side.scan() for change in page.changes]
        assert (kept.id in scanned, gone.id in scanned) == (True, False)

    def _mark(self, side: DocumentSide, user: str, document_id: str) -> Mark:
        return Mark(key=document_id, user_id=user, side=side.side, op="test")

    def _foreign(
        self, user: str, *, version: int = 10, text: str = "foreign", metadata: JsonObject | None = None
    ) -> Document:
        return Document(
            id=new_id(),
            user_id=user,
            text=text,
            embedding=EAST,
            title="a title",
            metadata=metadata or {},
            created_at=EARLY,
            updated_at=datetime(2002, 2, 2, 2, 2, 2, 123456, tzinfo=UTC),
            version=version,
            extra={"odd": "field"},
        )

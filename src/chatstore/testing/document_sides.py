"""The conformance suite of document stores as sides of a migration; its fixture is `document_side`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chatstore.errors import NotFoundError
from chatstore.interfaces import DocumentSide
from chatstore.models import (
    DeleteDocuments,
    Document,
    DocumentChange,
    DocumentKey,
    JsonObject,
    Mark,
    NewDocument,
    UpsertDocuments,
    new_id,
    utc_now,
)
from chatstore.testing.samples import EARLY, EAST, RICH, document


class DocumentSideSuite:
    """What the router and the migrator may rely on, of any `DocumentSide`; its fixture is `document_side`."""

    async def test_a_server_tells_how_busy_it_is_or_says_that_it_cannot(self, document_side: DocumentSide) -> None:
        before = await document_side.load()
        after = await document_side.load()
        assert (before is None) == (after is None)
        if before is not None and after is not None:
            assert 0 < after.latency < 60
            assert before.operations is None or before.operations >= 0
            assert before.cpu_seconds is None or 0 < before.cpu_seconds <= (after.cpu_seconds or 0)

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

    async def test_it_tells_all_that_it_holds_of_a_user_and_nothing_of_others(
        self, document_side: DocumentSide
    ) -> None:
        mine, more = self._foreign(new_id()), document("more")
        others = self._foreign(new_id())
        await document_side.put([DocumentChange(key=one.key, document=one) for one in (mine, others)])
        await document_side.write(UpsertDocuments(user_id=mine.user_id, documents=(more,)))
        assert await self._held_by(document_side, mine.user_id) == {mine.id, more.id}
        await document_side.write(DeleteDocuments(user_id=mine.user_id, ids=(mine.id,)))
        assert await self._held_by(document_side, mine.user_id) == {more.id}
        assert await self._held_by(document_side, others.user_id) == {others.id}
        assert await self._held_by(document_side, new_id()) == set()

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

    async def test_outlines_tell_the_versions_that_changes_tell(self, document_side: DocumentSide) -> None:
        user = new_id()
        [one, two] = await document_side.upsert(user, [document("one"), document("two")])
        await document_side.delete(user, [two.id])
        keys = [one.key, two.key, DocumentKey(new_id(), one.id), DocumentKey(user, "nobody")]
        for page in (await document_side.outlines(keys), await document_side.changes(keys)):
            known = {change.key: change for change in page.changes}
            assert set(known) == {one.key, two.key}
            assert known[two.key].document is None
            assert known[two.key].deleted > two.version
            told = known[one.key].document
            assert told is not None
            assert (told.version, told.updated_at, told.expires_at) == (one.version, one.updated_at, None)

    async def test_held_tells_which_documents_are_there(self, document_side: DocumentSide) -> None:
        user = new_id()
        [one, two] = await document_side.upsert(user, [document("one"), document("two")])
        await document_side.delete(user, [two.id])
        of_others = DocumentKey(new_id(), one.id)
        assert set(await document_side.held([one.key, two.key, of_others, DocumentKey(user, "nobody")])) == {one.key}

    async def test_keys_tell_every_document_and_go_on_from_a_cursor(self, document_side: DocumentSide) -> None:
        users = [new_id() for _ in range(3)]
        wanted = {}
        for user in users:
            stored = await document_side.upsert(user, [document(str(i)) for i in range(5)])
            wanted.update({item.key: item for item in stored})
        found: set[DocumentKey] = set()
        cursor = None
        while True:
            walk = document_side.keys(cursor)
            try:
                page = await anext(walk)
            except StopAsyncIteration:
                break
            finally:
                await walk.aclose()  # type: ignore[attr-defined] # a generator in all stores of ours
            found.update(page.keys)
            if (cursor := page.cursor) is None:
                break
        assert set(wanted) <= found
        scanned = [change async for page in document_side.scan() for change in page.changes]
        assert {change.key: change.document for change in scanned if change.key.user_id in users} == wanted

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
        assert await document_side.get_many(user, [gone.id, kept.id]) == [kept]
        assert [match.document.id for match in await document_side.search(user, EAST)] == [kept.id]
        scanned = [change.key.id async for page in document_side.scan() for change in page.changes]
        assert (kept.id in scanned, gone.id in scanned) == (True, False)

    async def test_no_expired_document_comes_back_by_a_late_put(self, document_side: DocumentSide) -> None:
        user = new_id()
        gone = replace(self._foreign(user), expires_at=utc_now() + timedelta(milliseconds=150))
        kept = replace(self._foreign(user), expires_at=utc_now().replace(microsecond=0) + timedelta(hours=1))
        await document_side.put([DocumentChange(key=d.key, document=d) for d in (kept, gone)])
        await asyncio.sleep(0.3)
        for _ in range(2):
            await document_side.put([DocumentChange(key=d.key, document=d) for d in (kept, gone)])
            told = (await document_side.changes([kept.key, gone.key])).changes
            assert [change.document for change in told if change.document] == [kept]
            assert [change for change in told if change.document is None and change.deleted] == []
            async for keys in document_side.expired():
                await document_side.remove_expired(keys)
        [again] = await document_side.upsert(user, NewDocument("again", id=gone.id, embedding=EAST))
        assert (again.expires_at, again.version > gone.version) == (None, True)
        assert await document_side.get(user, gone.id) == again

    def _mark(self, side: DocumentSide, user: str, document_id: str) -> Mark:
        return Mark(key=document_id, user_id=user, side=side.side, op="test")

    async def _held_by(self, side: DocumentSide, user_id: str) -> set[str]:
        return {name async for names in side.held_by(user_id) for name in names}

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

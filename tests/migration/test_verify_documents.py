"""A verify of documents: their content, and the index that finds them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chatstore.errors import UnavailableError, UnsupportedError
from chatstore.migration import Patience, VerifyOptions, VerifyReport, backfill_documents, verify_documents
from chatstore.models import DeleteDocuments, Document, Embedding, Mark, Match, Side, utc_now
from chatstore.routing import Sides, document_repairer
from chatstore.testing import MemoryDocuments
from tests.migration.doubles import DocumentWorld, Once, Watched, legacy_document, upsert

QUICK = VerifyOptions(batch=4, looks=3, wait=0.001, proof_one_in=1, patience=Patience(first=0.001, limit=0.5))


async def equal_world(new: MemoryDocuments | None = None) -> DocumentWorld:
    world = DocumentWorld(new=new or MemoryDocuments(Side.NEW))
    await world.old.put([legacy_document(f"d{n}", "x" * n, 1.0, float(n), 2.0, user=f"u{n % 2}") for n in range(10)])
    await backfill_documents(world.old, world.new, world.progress, repair=world.repair)
    return world


async def verify(world: DocumentWorld, **changes: Any) -> VerifyReport:
    parts = {"old": world.old, "new": world.new, "options": QUICK} | changes
    return await verify_documents(
        parts["old"], parts["new"], world.progress, repair=world.repair, options=parts["options"]
    )


def tamper(side: MemoryDocuments, name: str, **changes: Any) -> None:
    """Change a document behind chatstore's back."""
    change = side._states[name]
    assert change.document is not None
    side._states[name] = replace(change, document=replace(change.document, **changes))


async def test_equal_sides_are_found_equal_and_that_is_remembered() -> None:
    world = await equal_world()
    report = await verify(world)
    assert report.equal
    assert report.proved == 10
    assert (await world.new.journal.state()).verified_at is not None


@pytest.mark.parametrize(
    ("field", "value"), [("text", "changed"), ("title", "changed"), ("metadata", {"a": 1}), ("url", "changed")]
)
async def test_a_changed_field_is_found(field: str, value: Any) -> None:
    world = await equal_world()
    tamper(world.new, "d3", **{field: value})
    assert [(d.key, d.field) for d in (await verify(world)).differences] == [("document/u1/d3", field)]


async def test_a_changed_embedding_is_found() -> None:
    world = await equal_world()
    tamper(world.new, "d3", embedding=Embedding.of([1.0, 3.0, 2.0000002]))
    assert [(d.key, d.field) for d in (await verify(world)).differences] == [("document/u1/d3", "embedding")]


@pytest.mark.parametrize("side", ["old", "new"])
async def test_a_document_that_one_side_lacks_is_found(side: str) -> None:
    world = await equal_world()
    del getattr(world, side)._states["d3"]
    (difference,) = (await verify(world)).differences
    assert (difference.key, difference.field) == ("document/u1/d3", "document")
    assert getattr(difference, side) == "missing"


async def test_marked_documents_are_repaired_before_they_are_judged() -> None:
    world = await equal_world()
    await world.write(world.old, upsert("d77", "one-sided"))
    await world.write(world.old, replace(upsert("d2", "one-sided"), user_id="u0"))
    await world.write(world.new, DeleteDocuments(user_id="u0", ids=("d4",)))
    assert (await verify(world)).equal


async def test_a_key_whose_writer_may_still_be_at_work_is_judged_when_its_lease_ended() -> None:
    world = await equal_world()
    lease = utc_now() + timedelta(seconds=0.3)
    mark = Mark(key="d2", user_id="u0", side=Side.OLD, op="upsert", lease_until=lease)
    await world.old.write(replace(upsert("d2", "its writer died"), user_id="u0"), [mark])
    waits: list[str] = []
    options = replace(QUICK, patience=Patience(first=0.001))
    repair = document_repairer(Sides(world.old, world.new)).run
    report = await verify_documents(
        world.old,
        world.new,
        world.progress,
        repair=repair,
        options=options,
        on_progress=lambda event: waits.append(event.waiting_for),
    )
    assert report.equal
    assert any("still be at work" in reason for reason in waits)


class Broken(MemoryDocuments):
    """Reads every document and finds only some."""

    async def search_by_embedding(self, *args: Any, **kwargs: Any) -> list[Match]:
        matches = await super().search_by_embedding(*args, **kwargs)
        return [match for match in matches if match.document.id != "d3"]


async def test_a_document_that_is_there_and_that_a_search_does_not_find_is_found() -> None:
    world = await equal_world(Broken(Side.NEW))
    report = await verify(world)
    assert [(d.key, d.field, d.new) for d in report.differences] == [("document/u1/d3", "index", "not found")]
    assert report.proved == 9


async def test_an_index_that_holds_another_vector_than_the_document_is_found() -> None:
    class Stale(MemoryDocuments):
        async def search_by_embedding(self, *args: Any, **kwargs: Any) -> list[Match]:
            return [Match(m.document, m.score * 0.5) for m in await super().search_by_embedding(*args, **kwargs)]

    world = await equal_world(Stale(Side.NEW))
    report = await verify(world)
    assert report.difference_count == 10
    assert report.differences[0].new == "found with the similarity 0.500"


async def test_an_index_that_fails_while_reading_works_is_a_difference_and_no_outage() -> None:
    class Unreadable(MemoryDocuments):
        async def search_by_embedding(self, *_args: Any, **_kwargs: Any) -> list[Match]:
            raise UnavailableError("the index cannot be read")

    world = await equal_world(Unreadable(Side.NEW))
    report = await verify(world)
    assert report.difference_count == 10
    assert "the index cannot be read" in report.differences[0].new


async def test_a_side_that_cannot_search_is_compared_by_reading_alone() -> None:
    class Plain(MemoryDocuments):
        async def search_by_embedding(self, *_args: Any, **_kwargs: Any) -> list[Match]:
            raise UnsupportedError("no search here")

    world = await equal_world(Plain(Side.NEW))
    report = await verify(world)
    assert report.equal
    assert report.proved == 0


async def test_documents_with_the_same_embedding_do_not_hide_each_other() -> None:
    world = DocumentWorld()
    await world.old.put([legacy_document(f"d{n:03}", "x", 1.0, 2.0, 3.0) for n in range(300)])
    await backfill_documents(world.old, world.new, world.progress, repair=world.repair)
    assert (await verify(world, options=replace(QUICK, batch=300))).equal


async def test_documents_without_a_direction_are_not_searched_for() -> None:
    world = DocumentWorld()
    await world.old.put([legacy_document("zero", "x", 0.0, 0.0)])
    none = legacy_document("none")
    assert isinstance(none.document, Document)
    await world.old.put([replace(none, document=replace(none.document, embedding=None))])
    await backfill_documents(world.old, world.new, world.progress, repair=world.repair)
    report = await verify(world)
    assert report.equal
    assert report.proved == 0


async def test_a_document_changed_between_reading_and_searching_is_no_difference() -> None:
    world = await equal_world()

    async def live() -> None:
        await world.write(world.new, DeleteDocuments(user_id="u0", ids=("d0", "d2", "d4")))

    writing = Once("search_by_embedding", "before", live)
    report = await verify(world, new=Watched(world.new, writing.told))
    assert writing.done
    assert report.equal


async def test_every_user_has_at_least_one_document_searched_for() -> None:
    world = await equal_world()
    report = await verify(world, options=replace(QUICK, batch=100, proof_one_in=10**9))
    assert report.proved == 2


async def test_a_server_that_is_away_while_the_sample_is_read_hides_no_broken_index() -> None:
    class Blind(MemoryDocuments):
        is_walked = is_away = False

        async def keys(self, cursor: str | None = None) -> Any:
            self.is_walked = True
            async for page in super().keys(cursor):
                yield page

        async def changes(self, keys: Any) -> Any:
            if self.is_walked and not self.is_away:
                self.is_away = True
                raise UnavailableError("away")
            return await super().changes(keys)

        async def search_by_embedding(self, *_args: Any, **_kwargs: Any) -> list[Match]:
            return []

    world = await equal_world(Blind(Side.NEW))
    report = await verify(world, options=replace(QUICK, batch=100, proof_one_in=10**9))
    assert {(d.field, d.new) for d in report.differences} == {("index", "not found")}
    assert report.difference_count == 2


async def test_of_a_user_whose_first_document_cannot_be_searched_for_another_one_is() -> None:
    world = DocumentWorld()
    await world.old.put([legacy_document(name, "x", 0.0, 0.0, 0.0) for name in "ab"])
    await world.old.put([legacy_document("c")])
    await backfill_documents(world.old, world.new, world.progress, repair=world.repair)
    report = await verify(world, options=replace(QUICK, batch=100, proof_one_in=10**9))
    assert report.proved == 1


async def test_what_the_new_side_has_too_much_is_told_by_keys_alone() -> None:
    world = await equal_world()
    read: list[str] = []

    class Counted(MemoryDocuments):
        async def held(self, keys: Any) -> Any:
            return {key for key in keys if key.id in self._states}

        async def changes(self, keys: Any) -> Any:
            read.extend(key.id for key in keys)
            return await super().changes(keys)

    counted = Counted(Side.OLD)
    counted._states, counted.journal = world.old._states, world.old.journal
    assert (await verify(world, old=counted)).equal
    assert len(read) == 10

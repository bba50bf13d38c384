"""Who waits for whom where one writes a document and another joins a state into it, and for how long."""

import asyncio
import math
from datetime import timedelta

import pytest

from chatstore.chroma import exclusion
from chatstore.chroma.exclusion import AT_ONCE, LEASE, PATIENCE, Exclusion
from chatstore.chroma.journal import NAME
from chatstore.chroma.portions import LEAST, MOST, Portions
from chatstore.chroma.work import NAMED, ChromaWork, _digits
from chatstore.errors import BusyError, UnavailableError
from chatstore.models import DocumentChange, DocumentKey, Mark, NewDocument, Side, UpsertDocuments, utc_now
from chatstore.routing import documents as router
from chatstore.testing.samples import EAST

USER = "u"


class Clock:
    """Goes on when somebody pauses."""

    def __init__(self):
        self.time = utc_now()

    def __call__(self):
        return self.time

    async def pause(self):
        self.time += timedelta(seconds=0.05)
        await asyncio.sleep(0)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def work(documents, clock):
    return ChromaWork(documents._collections, documents.journal, now=clock)


@pytest.fixture
def side(documents, work, clock):
    """A store whose waiting is by the test's clock."""
    documents._exclusion = Exclusion(work, now=clock, pause=clock.pause)
    return documents


@pytest.fixture
def announced(documents):
    """All announcements there are."""

    async def ask():
        return await documents._collections.named(NAME).get(where={"kind": "join"})

    return ask


def upsert(name):
    return UpsertDocuments(user_id=USER, documents=(NewDocument("text", id=name, embedding=EAST),))


def mark(name, clock):
    return Mark(key=name, user_id=USER, side=Side.NEW, op="upsert", at=clock(), lease_until=clock() + router.LEASE)


def deletion(name, user=USER):
    return DocumentChange(key=DocumentKey(user, name), document=None, deleted=2)


async def test_a_writer_does_not_wait_for_joins_of_other_documents(side, work, clock):
    await work.announce({USER: ["another", "and another"], "somebody else": ["mine"]}, clock() + LEASE)
    begun = clock()
    await side.write(upsert("mine"), [mark("mine", clock)])
    assert clock() == begun
    assert await side.get(USER, "mine")


async def test_a_writer_waits_for_a_join_of_one_of_his_documents_until_it_ends(side, work, clock):
    await work.announce({USER: ["mine"]}, clock() + timedelta(seconds=1))
    begun = clock()
    await side.write(upsert("mine"), [mark("mine", clock)])
    assert timedelta(seconds=1) <= clock() - begun < timedelta(seconds=1.2)


async def test_a_writer_who_waits_in_vain_writes_nothing_and_leaves_no_mark(side, work, clock):
    await work.announce({USER: ["mine"]}, clock() + LEASE)
    begun = clock()
    with pytest.raises(BusyError, match="nothing was written"):
        await side.write(upsert("mine"), [mark("mine", clock)])
    assert clock() - begun < PATIENCE + timedelta(seconds=0.2)
    assert list(await side.journal.marks_of(USER)) == []
    assert await side.count_documents(USER) == 0


async def test_a_writers_lease_lasts_longer_than_all_that_he_may_wait_for():
    calls = timedelta(seconds=10)
    assert calls + PATIENCE + calls + calls < router.LEASE


async def test_many_documents_are_joined_in_portions_that_records_of_less_than_4_kb_announce(side, announced):
    changes = [deletion(f"{'long' * 20} {at}") for at in range(5 * NAMED + 1)]
    seen = []

    async def join(part):
        records = [record.metadata for record in await announced()]
        sizes = [sum(len(str(item)) for pair in metadata.items() for item in pair) for metadata in records]
        named = {name for metadata in records for name in str(metadata["documents"]).split()}
        seen.append((len(part), max(sizes), {_digits(change.key.id) for change in part} == named))

    await side._exclusion.join(changes, join)
    assert sum(length for length, _, _ in seen) == len(changes)
    assert max(length for length, _, _ in seen) <= MOST
    assert max(size for _, size, _ in seen) < 4000
    assert all(exact for _, _, exact in seen)
    assert await announced() == []


async def test_a_portion_is_halved_when_one_took_long_or_was_given_up_and_grows_again(side):
    portions = Portions()
    first = portions.size
    portions.took(first, 5.0)
    assert portions.size == first // 2
    portions.took(10, 0.1)
    assert portions.size == first // 2, "a small one says nothing about large ones"
    for _ in range(20):
        portions.took(portions.size, math.inf)
    assert portions.size == LEAST
    for _ in range(20):
        portions.took(portions.size, 0.1)
    assert portions.size == MOST


async def test_a_portion_that_is_given_up_is_followed_by_smaller_ones(side):
    changes = [deletion(str(at)) for at in range(600)]
    sizes = []

    async def join(part):
        sizes.append(len(part))
        if len(sizes) == 1:
            raise UnavailableError("too slow")

    with pytest.raises(UnavailableError):
        await side._exclusion.join(changes, join)
    await side._exclusion.join(changes, join)
    assert max(sizes[1:]) < sizes[0]


async def test_few_large_joins_are_at_work_at_once_and_small_ones_wait_for_none(side):
    at_work, most, full, free = 0, 0, asyncio.Event(), asyncio.Event()

    async def hold(part):
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        if at_work == AT_ONCE:
            full.set()
        await free.wait()
        at_work -= 1

    joins = [
        asyncio.create_task(side._exclusion.join([deletion(f"{join} {at}") for at in range(100)], hold))
        for join in range(2 * AT_ONCE)
    ]
    await full.wait()
    done = []

    async def join(part):
        done.extend(part)

    await side._exclusion.join([deletion("small")], join)
    assert len(done) == 1
    free.set()
    await asyncio.gather(*joins)
    assert most == AT_ONCE


async def test_what_is_busy_keeps_no_other_part_from_being_joined(side, clock):
    changes = [deletion(str(at)) for at in range(NAMED + 1)]
    await side.journal.add([mark("3", clock)])
    joined = []

    async def join(part):
        joined.extend(change.key.id for change in part)

    with pytest.raises(BusyError):
        await side._exclusion.join(changes, join)
    assert sorted(joined) == sorted(str(at) for at in range(NAMED + 1) if at != 3)


async def test_what_the_dead_announced_is_removed_long_after_by_who_meets_it(side, work, clock, announced):
    await work.announce({USER: ["mine"]}, clock() - timedelta(minutes=59))
    [recent] = await announced()
    await work.announce({USER: ["mine"]}, clock() - timedelta(minutes=61))
    begun = clock()
    await side.write(upsert("mine"), [mark("mine", clock)])
    assert clock() == begun
    assert [record.id for record in await announced()] == [recent.id]


async def test_joins_under_way_are_asked_for_in_one_request_that_brings_none_that_are_over(
    work, client, clock, monkeypatch
):
    await work.announce({USER: ["mine"]}, clock() - timedelta(minutes=1))
    asked, run = [], client.run

    async def counting(method, **arguments):
        answer = await run(method, **arguments)
        asked.append((method.__name__, answer["ids"]))
        return answer

    monkeypatch.setattr(client, "run", counting)
    assert await work.joins_until(USER, "mine") is None
    assert asked == [("get", [])]


async def test_a_join_that_fails_before_it_has_begun_withdraws_its_announcement(side, work, announced):
    async def fails(_):
        raise UnavailableError("no answer (by the test's order)")

    work.marks_on = fails
    with pytest.raises(UnavailableError):
        await side._exclusion.join([deletion("mine")], fails)
    assert await announced() == []


async def test_a_join_that_is_cancelled_before_it_has_begun_withdraws_its_announcement(side, work, announced):
    asked = asyncio.Event()

    async def hangs(_):
        asked.set()
        await asyncio.Event().wait()

    work.marks_on = hangs
    joining = asyncio.create_task(side._exclusion.join([deletion("mine")], hangs))
    await asked.wait()
    assert len(await announced()) == 1
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    assert await announced() == []


async def test_an_announcement_of_which_no_answer_came_is_taken_back(side, work, announced):
    collection = work._collection
    upsert_records = collection.upsert

    async def loses_the_answer(records):
        await upsert_records(records)
        raise UnavailableError("no answer (by the test's order)")

    collection.upsert = loses_the_answer
    with pytest.raises(UnavailableError):
        await work.announce({USER: ["mine"]}, utc_now() + LEASE)
    assert await announced() == []


async def test_a_join_that_failed_on_its_way_keeps_its_announcement(side, announced):
    async def fails(_):
        raise UnavailableError("no answer (by the test's order)")

    with pytest.raises(UnavailableError):
        await side._exclusion.join([deletion("mine")], fails)
    assert len(await announced()) == 1


async def test_a_server_that_is_silent_does_not_hold_up_who_takes_back(side, work, monkeypatch):
    monkeypatch.setattr(exclusion, "_TAKE_BACK_SECONDS", 0.01)

    async def hangs(_):
        await asyncio.Event().wait()

    work.withdraw = hangs
    async with asyncio.timeout(30):
        await work.take_back(["a join"])

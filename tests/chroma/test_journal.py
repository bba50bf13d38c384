"""What the journal in Chroma has to take care of beyond what the conformance suite asks of all."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chatstore.models import MigrationState, Side, Stage, utc_now
from chatstore.models.marks import Mark

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def journal(documents):
    return documents.journal


def mark(key="k", user="u", at=None, **fields):
    return Mark(key=key, user_id=user, side=Side.NEW, op="upsert", at=at or utc_now(), **fields)


async def test_marks_beyond_a_page_come_in_order_and_are_counted(journal):
    marks = [mark(str(at), at=START + timedelta(microseconds=at // 2)) for at in range(700)]
    await journal.add(marks[::-1])
    await journal.remember(stage=Stage.LIVE)
    expected = sorted(marks, key=lambda each: (each.at, each.token))
    assert list(await journal.marks(limit=300)) == expected[:300]
    assert list(await journal.marks(limit=1000, after=expected[299])) == expected[300:]
    backlog = await journal.backlog()
    assert (backlog.marks, backlog.oldest) == (700, START)


async def test_marks_of_many_keys_are_found(journal):
    marks = [mark(f"key {at}") for at in range(300)]
    await journal.add([*marks, mark("key 1", user="other")])
    found = await journal.marks_of("u", [each.key for each in marks])
    assert {each.token for each in found} == {each.token for each in marks}
    assert list(await journal.clear_alone(marks)) == []
    assert [each.user_id for each in await journal.marks(limit=9)] == ["other"]


async def test_of_two_who_work_on_a_key_at_once_one_leaves_its_mark(journal):
    for _ in range(5):
        one, other = mark(), mark()
        at_work = asyncio.Barrier(2)

        async def work(own, at_work=at_work):
            await journal.add([own])
            await at_work.wait()
            return await journal.clear_alone([own])

        left = await asyncio.gather(work(one), work(other))
        standing = await journal.marks_of("u")
        assert [each for part in left for each in part]
        assert standing
        await journal.clear(standing)


async def test_a_closed_journal_keeps_only_what_must_be_kept(journal):
    must, may = mark("must"), replace(mark("may"), while_open=True)
    await journal.add([must, may])
    assert list(await journal.marks_of("u")) == [must]
    await journal.remember(journal_open=True)
    await journal.add([may])
    assert [each.key for each in await journal.marks_of("u", ["may"])] == ["may"]


async def test_two_who_remember_different_things_at_once_lose_none(journal):
    now = utc_now()
    await asyncio.gather(
        journal.remember(journal_open=True),
        journal.remember(backfilled_at=now),
        journal.remember(verified_at=now),
        journal.remember(stage=Stage.SHADOW),
        journal.remember(way_back_closed=True),
    )
    assert await journal.state() == MigrationState(
        journal_open=True, backfilled_at=now, verified_at=now, stage=Stage.SHADOW, way_back_closed=True
    )


async def test_nothing_to_do_is_no_call(journal, client, monkeypatch):
    monkeypatch.setattr(client, "run", None)
    monkeypatch.setattr(client, "call", None)
    await journal.add([])
    await journal.clear([])
    assert list(await journal.clear_alone([])) == []

"""The journal in a Redis that lost a part of it."""

from datetime import UTC, datetime, timedelta

import pytest

from chatstore.models import Kind, Mark, Side
from chatstore.redis.journal import RedisJournal
from chatstore.redis.keys import JournalKeys

BEGIN = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
async def journal(client):
    journal = RedisJournal(client, Kind.CHAT)
    await journal.add(
        [
            Mark(token=f"t{i}", key=f"s{i}", user_id="u", side=Side.OLD, op="append", at=BEGIN + timedelta(seconds=i))
            for i in range(9)
        ]
    )
    await client.hdel(JournalKeys(Kind.CHAT).bodies, "t0", "t3", "t4", "t8")
    return journal


@pytest.mark.parametrize("page", [1, 2, 9])
async def test_marks_whose_bodies_are_gone_are_passed_over(journal, page):
    walked = [mark.key async for marks in journal.walk(until=datetime.now(UTC), page=page) for mark in marks]
    assert walked == ["s1", "s2", "s5", "s6", "s7"]


async def test_a_users_marks_whose_bodies_are_gone_are_passed_over(journal):
    assert len(await journal.marks_of("u")) == 5
    assert [mark.key for mark in await journal.marks_of("u", ["s0", "s1", "s3", "s2"])] == ["s1", "s2"]

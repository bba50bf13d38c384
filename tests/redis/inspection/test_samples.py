"""A sample tells of the whole: quickly, gently, near enough, and it says that it is one."""

import json
import time
from pathlib import Path

import pytest
import redis

from chatstore.errors import ConfigurationError, UnavailableError
from chatstore.redis.inspection.distinct import Distinct
from chatstore.redis.inspection.estimating import Scale
from chatstore.redis.inspection.report import Count
from tests.redis.inspection.conftest import READER

SESSIONS, MESSAGES, PAGES = 15_000, 4, 25_000
KEYS = SESSIONS * (1 + MESSAGES) + PAGES


@pytest.fixture
def crowded(redis_database):
    """100,000 keys: sessions of the layout `hash` with their messages, and pages of a cache."""
    with redis.Redis.from_url(redis_database) as client:
        pipeline = client.pipeline(transaction=False)
        for place in range(SESSIONS):
            ids = [f"{place}-{one}" for one in range(MESSAGES)]
            held = {"userId": f"u{place % 500}", "messageIds": json.dumps(ids), "createdAt": 1_700_000_000_000}
            pipeline.hset(f"session:{place}", mapping=held)
            for one in ids:
                held = {"sessionId": place, "role": "user", "content": "hello", "createdAt": 1_700_000_000_000}
                pipeline.hset(f"message:{one}", mapping=held)
            if place % 1000 == 999:
                pipeline.execute()
        for place in range(PAGES):
            pipeline.set(f"cache:{place}", "x", ex=1000 if place % 2 else None)
        pipeline.execute()
    return redis_database


async def test_a_hundred_thousand_keys_take_seconds_and_the_estimates_are_near(crowded, look):
    begun = time.monotonic()
    found = await look(crowded)
    assert time.monotonic() - begun < 15
    assert (found.keys, found.looked_at, found.complete, found.unseen) == (KEYS, 5_000, False, 60)
    [group] = found.groups
    [cached] = found.unclaimed
    for count, truth in ((group.sessions, SESSIONS), (group.messages, SESSIONS * MESSAGES), (cached.keys, PAGES)):
        assert not count.exact
        assert abs(count.value - truth) < truth * 0.15
    assert group.records.read == 500
    assert not group.records.complete
    assert not group.records.quarantined
    assert 250 < group.records.whose.users <= 500
    assert not group.records.whose.exact


@pytest.fixture
def pages(redis_database):
    with redis.Redis.from_url(redis_database) as client:
        client.mset({f"page:{place}": "x" for place in range(2_000)})
    return redis_database


async def test_it_sends_no_more_commands_a_second_than_it_may(pages, look):
    with redis.Redis.from_url(pages) as client:
        before = client.info("stats")["total_commands_processed"]
        begun = time.monotonic()
        await look(pages, sample=500, commands_per_second=4_000)
        seconds = time.monotonic() - begun
        sent = client.info("stats")["total_commands_processed"] - before
    assert sent > 2_000
    assert seconds > 0.4  # a batch may be sent at once


async def test_it_tells_how_far_it_has_come(pages, look):
    told = []
    await look(pages, sample=1_000, on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (1_000, 1_000)


async def test_what_the_server_does_not_allow_is_done_without_and_said(redis_database, look, reader_of):
    with redis.Redis.from_url(redis_database) as client:
        client.rpush("message_store:1", '{"type": "human", "data": {"content": "hi"}}')
        client.expire("message_store:1", 100)
    least = ("+select", "+scan", "+type", "+llen", "+lrange")
    found = await look(reader_of(redis_database, *least))
    [group] = found.groups
    assert (group.layout, group.sessions.value, group.messages.value) == ("langchain", 1, 1)
    assert (group.memory, group.expiry.keys.value, group.records.read) == (None, 0, 0)
    said = "\n".join(found.gaps)
    for gap in (
        "how much memory keys take",
        "how long keys live",
        "(DBSIZE)",
        "what would be quarantined of langchain",
    ):
        assert gap in said
    assert (await look(reader_of(redis_database, *READER))).gaps == []


async def test_every_right_of_the_documented_user_is_needed(redis_database, look, reader_of):
    with redis.Redis.from_url(redis_database) as client:
        client.rpush("message_store:1", '{"type": "human", "data": {"content": "hi"}}')
    for right in set(READER) - {"+time", "+eval_ro"}:  # for messages that expire, and for search indexes
        with redis.Redis.from_url(redis_database) as client:
            client.script_flush()
        try:
            found = await look(reader_of(redis_database, *(set(READER) - {right})))
        except (ConfigurationError, UnavailableError):
            continue
        assert found.gaps or not found.server, right


def test_the_guide_tells_of_just_these_rights():
    guide = (Path(__file__).parents[3] / "docs" / "guide.md").read_text()
    assert f"ACL SETUSER inspector reset on >PASSWORD %R~* {' '.join(READER)}\n" in guide


def test_a_scale_says_what_is_exact_and_rounds_what_is_not():
    assert Scale(10, 10, complete=True).of(3) == Count(3)
    assert Scale(123_456, 5_000, complete=False).of(1) == Count(25, exact=False)
    assert Scale(123_456, 5_000, complete=False).of(1_234) == Count(30_500, exact=False)


def test_different_things_are_counted_in_bounded_memory(monkeypatch):
    monkeypatch.setattr("chatstore.redis.inspection.distinct._KEPT", 2_000)
    counted = Distinct()
    for place in range(40_000):
        counted.add(b"%d" % (place % 20_000))
    assert len(counted._times) <= 2_000
    assert not counted.met.exact
    assert 18_000 < counted.met.value < 22_000
    few = Distinct()
    assert [few.add(name) for name in (b"a", b"b", b"a")] == [True, True, False]
    assert few.met == Count(2)


def test_those_not_met_are_estimated_from_those_met_once_and_twice():
    counted = Distinct()
    for place in range(1_000):
        counted.add(b"%d" % (place * 7919 % 800))
    assert counted.altogether(complete=True) == Count(800)
    sample = Distinct()
    for place in range(600):
        sample.add(b"%d" % (place * 104_729 * place % 1_000_003 % 1_000))
    assert 700 < sample.altogether(complete=False).value < 1_400


async def test_many_vector_sets_take_no_longer_than_one_and_each_is_counted_as_it_is(search_redis, look):
    with redis.Redis.from_url(search_redis) as client:
        pipeline = client.pipeline(transaction=False)
        for place in range(400):
            for element in range(10):
                pipeline.execute_command("VADD", f"docs:{place}", "VALUES", 2, 1, element, f"{element}")
        for place in range(1_000):
            pipeline.set(f"page:{place}", "x")
        pipeline.execute()
    found = await look(search_redis, sample=1_000)
    assert 100 < len(found.groups) < 400
    assert {(group.documents, group.keys) for group in found.groups} == {(Count(10), Count(1))}
    assert sum(group.records.read for group in found.groups) == 2_000

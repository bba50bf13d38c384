"""What would be quarantined is told beforehand, with the reason; and nothing that lies in a Redis stops an inspection."""

import asyncio
import json
import struct

import hypothesis
import pytest
import redis
from hypothesis import strategies as st

from chatstore.models import Kind
from chatstore.ownership import load_owners
from chatstore.redis import RedisChat, RedisDocuments, chat_layout, connect, document_layout
from chatstore.redis.inspection import Count, Options, inspect
from tests.redis.conftest import App

DEEP = b"[" * 100_000 + b"]" * 100_000
ITEM = b'{"type": "human", "data": {"content": "hello", "additional_kwargs": {}}}'
BAD_ITEMS = [
    b'{"type": "human", "data"',
    b"\xff\xfe",
    b'{"type": "human", "data": {"content": NaN}}',
    b'{"type": "human", "type": "ai", "data": {"content": "twice"}}',
    b'{"type": "human", "data": {"content": "\\ud800"}}',
    b"[1, 2]",
    b"null",
    DEEP,
    b"",
]


@pytest.fixture
async def app(redis_database):
    async with connect(redis_database) as client:
        yield App(client)


async def quarantined_by_a_scan(side):
    return sorted([record.key async for page in side.scan() for record in page.quarantined])


async def test_it_tells_as_many_as_a_scan_then_quarantines(redis_database, look, app):
    await app.conversation("good", 3)
    await app.conversation("gone", 3)
    await app.message("lost", "nobody")
    await app.session("no-time", createdAt="yesterday")
    await app.session("bad-json", metadata="{")
    await app.session("no-user", user="")
    await app.document("good")
    await app.document("bad-vector", embedding="[1, NaN]")
    with redis.Redis.from_url(redis_database) as client:
        client.delete("message:gone-1")
        client.set("session:1", "a string")
        client.rpush("session:2", "a list")
        client.sadd("document:3", "a set")
        client.hset("session:\xff", "userId", "ann")
        client.hset(b"document:\xff\xfe", mapping={"userId": "ann", "content": b"\xff"})
        client.set("message:4", "a string")
    found = await look(redis_database)
    told = {group.kind: group.records.quarantined for group in found.groups}
    async with connect(redis_database) as client:
        chat = await quarantined_by_a_scan(RedisChat(client, chat_layout("hash")))
        documents = await quarantined_by_a_scan(RedisDocuments(client, document_layout("hash")))
    for kind, keys in ((Kind.CHAT, chat), (Kind.DOCUMENTS, documents)):
        assert sum(finding.records.value for finding in told[kind]) == len(keys), (told[kind], keys)
        assert {finding.example for finding in told[kind]} <= set(keys)
        assert all(finding.records.exact and finding.reason for finding in told[kind])
    assert not found.unclaimed


async def test_bad_items_of_a_list_are_told_one_by_one_and_the_others_are_read(redis_database, look):
    with redis.Redis.from_url(redis_database) as client:
        for place, bad in enumerate(BAD_ITEMS):
            client.rpush(f"message_store:s{place}", ITEM, bad, ITEM)
    [group] = (await look(redis_database)).groups
    assert group.layout == "langchain"
    assert group.sessions == Count(len(BAD_ITEMS))
    assert group.records.messages_read == 2 * len(BAD_ITEMS)
    assert sum(finding.records.value for finding in group.records.quarantined) == len(BAD_ITEMS)


async def test_what_differs_from_record_to_record_makes_no_other_reason_of_it(redis_database, look):
    with redis.Redis.from_url(redis_database) as client:
        for place in range(30):
            client.rpush(f"message_store:s{place}", ITEM, b"x" * place + b"\xff")
    [group] = (await look(redis_database)).groups
    [finding] = group.records.quarantined
    assert finding.records == Count(30)


async def test_names_alone_make_no_layout(redis_database, look):
    with redis.Redis.from_url(redis_database) as client:
        client.set("session:1", "x")
        client.set("message_store:1", "x")
        client.rpush("chat:1", "x", "y")
        client.hset("agents:session:1", "a", "b")
        client.zadd("user:chat:1", {"a": 1})
        client.sadd("document:1", "x")
        client.xadd("message:1", {"a": "b"})
        client.rpush("some-list", "1", "2")
        client.hset("doc:tea:1", "title", "x")
        client.hset("comment:1", mapping={"userId": "ann", "content": "nice"})
        client.hset("profile:1", mapping={"userId": "ann", "createdAt": 1})
    found = await look(redis_database)
    assert found.groups == []
    assert sum(one.keys.value for one in found.unclaimed) == found.keys == 11


async def test_what_no_layout_claims_is_told_by_pattern_and_with_what_it_looks_like(redis_database, look):
    with redis.Redis.from_url(redis_database) as client:
        for place in range(20):
            client.set(f"cache:page:{place}", "<html>")
            client.set(f"myapp:chat:{place}", json.dumps([{"role": "user", "content": "hi"}]))
        client.hset("thing", mapping={"embedding": struct.pack("<2f", 1, 2)})
    found = await look(redis_database)
    told = {(one.pattern, one.type): (one.keys.value, one.looks_like) for one in found.unclaimed}
    assert told == {
        ("cache:page:*", "string"): (20, ""),
        ("myapp:chat:*", "string"): (20, "messages"),
        ("thing", "hash"): (1, "a document with an embedding"),
    }


async def test_an_empty_redis_is_looked_at_too(redis_database, look):
    found = await look(redis_database)
    assert (found.keys, found.complete, found.groups, found.unclaimed) == (0, True, [], [])


async def test_large_values_are_neither_fetched_nor_read_in_a_sample_and_the_others_are(search_redis, look):
    async with connect(search_redis) as client:
        await App(client).conversation("small", 2)
        await App(client).session("huge", title="x" * 20_000_000)
    with redis.Redis.from_url(search_redis) as client:
        client.rpush("message_store:small", ITEM)
        for _ in range(3):
            client.rpush("message_store:huge", *[ITEM] * 10_000)
        sent_before = client.info("stats")["total_net_output_bytes"]
        found = await look(search_redis)
        sent = client.info("stats")["total_net_output_bytes"] - sent_before
    chat = {group.layout: group for group in found.groups}
    assert chat["hash"].sessions == Count(2)
    assert chat["hash"].records.too_large == 1
    assert chat["langchain"].messages == Count(30_001)
    assert chat["langchain"].records.too_large == 1
    assert not chat["hash"].records.complete
    assert sent < 1_000_000
    assert (await look(search_redis, sample=None)).groups[0].records.too_large == 0


async def test_custom_prefixes_are_learned_from_the_keys(redis_database, look):
    with redis.Redis.from_url(redis_database) as client:
        for place in range(10):
            client.rpush(f"myapp:history:user{place}:{place * 7}", ITEM)
            client.hset(
                f"app2:session:{place}", mapping={"userId": "ann", "messageIds": "[]", "createdAt": 1700000000000}
            )
    found = await look(redis_database)
    assert {(group.layout, group.prefix, group.is_default, group.sessions.value) for group in found.groups} == {
        ("langchain", "myapp:history:", False, 10),
        ("hash", "app2:session:", False, 10),
    }


async def test_whose_records_are_is_counted_where_it_is_said(redis_database, look):
    with redis.Redis.from_url(redis_database) as client:
        for place in range(12):
            client.rpush(f"message_store:user{place % 3}:{place}", ITEM)
        client.rpush("message_store:nobodys", ITEM)
    [group] = (await look(redis_database)).groups
    assert not group.records.whose.said
    assert not group.records.quarantined
    owners = {Kind.CHAT: load_owners("key:message_store:{user}:*")}
    [group] = (await look(redis_database, owners=owners)).groups
    whose = group.records.whose
    assert (whose.said, whose.users, whose.exact, whose.nobodys) == (True, 3, True, Count(1))
    assert whose.examples == ("message_store:nobodys",)
    assert [finding.records for finding in group.records.quarantined] == [Count(1)]


VALUES = st.sampled_from(
    [b"", b"x", b"{}", b"[]", b"null", b"\xff", b"NaN", b"1e999", ITEM, ITEM[:-1], DEEP[:2000], b"\0"]
)
NAMES = st.sampled_from(
    b"userId messageIds content role sessionId embedding createdAt messages id title session_tag timestamp entry_id "
    b"vector _node_content content_vector _metadata_json text".split()
)
BEGINNINGS = (
    b"session: message: document: message_store: chat: user:chat: agents:session: doc:a: chat_messages chatstore: "
    b"app:{tag}:"
).split()
KEYS = st.builds(
    bytes.__add__,
    st.sampled_from([*BEGINNINGS, b""]),
    st.one_of(st.sampled_from([b"", b"1", b"1:messages", b"*", b"\xff", b"a:b:c", b"\r\n"]), st.binary(max_size=6)),
)
ANYTHING = st.one_of(
    st.tuples(st.just("SET"), VALUES.map(lambda value: [value])),
    st.tuples(st.just("RPUSH"), st.lists(VALUES, min_size=1, max_size=5)),
    st.tuples(st.just("SADD"), st.lists(VALUES, min_size=1, max_size=3)),
    st.tuples(st.just("ZADD"), VALUES.map(lambda value: [1, value])),
    st.tuples(st.just("XADD"), VALUES.map(lambda value: ["*", "f", value])),
    st.tuples(
        st.just("HSET"),
        st.dictionaries(NAMES, VALUES, min_size=1, max_size=8).map(
            lambda held: [x for pair in held.items() for x in pair]
        ),
    ),
    st.tuples(
        st.just("JSON.SET"),
        st.sampled_from(
            ['{"role":"user"}', "[1]", "null", '{"type":"ai","data":{"content":null},"session_id":"1"}']
        ).map(lambda value: ["$", value]),
    ),
    st.tuples(st.just("VADD"), VALUES.map(lambda value: ["VALUES", 2, 1, 2, value])),
)


@hypothesis.settings(
    max_examples=60, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(held=st.dictionaries(KEYS, ANYTHING, max_size=12))
def test_whatever_lies_there_every_key_is_counted_and_nothing_is_changed(search_redis, held):
    with redis.Redis.from_url(search_redis) as client:
        client.flushall()
        for key, (command, rest) in held.items():
            client.execute_command(command, key, *rest)
        before = client.info("persistence")["rdb_changes_since_last_save"]
        found = asyncio.run(inspected(search_redis))
        assert client.info("persistence")["rdb_changes_since_last_save"] == before
    assert found.keys == found.looked_at == len(held)
    counted = sum(group.keys.value for group in found.groups) + found.own.value
    counted += sum(one.keys.value for one in found.unclaimed)
    bad = sum(finding.records.value for group in found.groups for finding in group.records.quarantined)
    # What is no layout's by its shape, and would be read for one, is in quarantine.
    assert counted <= len(held) <= counted + bad
    # Messages that only a search index can put in order, and there is none.
    assert all("langchain-redis" in gap or "redisvl" in gap for gap in found.gaps)


async def inspected(url):
    async with connect(url) as client:
        return await inspect(client, Options(sample=None))

"""What the layouts rely on is so on the server that the tests have."""

import struct
import time

import pytest
import redis

VECTOR = struct.pack("<2f", 1, 0)


@pytest.fixture
def client(search_redis):
    with redis.Redis.from_url(search_redis, protocol=2) as client:
        yield client


def create_index(client, name="idx", kind="HASH"):
    field = "$.text" if kind == "JSON" else "text"
    client.execute_command("FT.CREATE", name, "ON", kind, "PREFIX", "1", "doc:", "SCHEMA", field, "AS", "text", "TEXT")


def test_each_test_finds_no_keys_and_no_indexes(client):
    assert client.dbsize() == 0
    assert client.execute_command("FT._LIST") == []
    create_index(client)
    client.flushall()
    assert client.execute_command("FT._LIST") == []


def test_an_index_can_be_made_in_database_0_only(client, search_redis):
    with redis.Redis.from_url(search_redis.removesuffix("0") + "1") as other:
        with pytest.raises(redis.ResponseError, match="db != 0"):
            create_index(other)
        other.execute_command("JSON.SET", "doc:1", "$", "1")
        other.execute_command("VADD", "set", "FP32", VECTOR, "a")


@pytest.mark.parametrize(
    ("kind", "write"),
    [("HASH", "'HSET','doc:1','text','tea'"), ("JSON", """'JSON.SET','doc:1','$','{"text":"tea"}'""")],
)
def test_a_script_finds_what_it_wrote_and_not_what_it_deleted(client, kind, write):
    create_index(client, kind=kind)
    found = client.eval(
        f"redis.call({write}) return redis.call('FT.SEARCH', 'idx', '@text:tea', 'NOCONTENT')", 1, "doc:1"
    )
    assert found == [1, b"doc:1"]
    gone = client.eval(
        "redis.call('DEL', 'doc:1') return redis.call('FT.SEARCH', 'idx', '@text:tea', 'NOCONTENT')", 1, "doc:1"
    )
    assert gone == [0]


@pytest.mark.parametrize(
    "write", [("JSON.SET", "$", '{"b":2}'), ("JSON.SET", "$.c", "3"), ("JSON.MERGE", "$", '{"d":4}')]
)
def test_json_writes_keep_the_ttl(client, write):
    client.execute_command("JSON.SET", "key", "$", '{"a":1}')
    client.expire("key", 1000)
    client.execute_command(write[0], "key", *write[1:])
    assert client.ttl("key") > 900


def test_json_is_written_anew(client):
    client.execute_command(
        "JSON.SET", "key", "$", '{"z": 1.0, "a": 1E2, "u": "\\u00e9", "n": 12345678901234567890, "d": 1, "d": 2}'
    )
    assert (
        client.execute_command("JSON.GET", "key").decode()
        == '{"z":1.0,"a":100.0,"u":"é","n":12345678901234567890,"d":2}'
    )


def test_vector_sets_work_in_scripts_and_vectors_are_nearly_exact_without_quantisation(client):
    added = struct.pack("<3f", 0.1, 0.2, 0.3)
    script = """
        redis.call('VADD', KEYS[1], 'FP32', ARGV[1], 'a', 'NOQUANT', 'SETATTR', '{"k":1}')
        return {redis.call('VEMB', KEYS[1], 'a'), redis.call('VGETATTR', KEYS[1], 'a')}
    """
    vector, attributes = client.eval(script, 1, "set", added)
    assert attributes == b'{"k":1}'
    assert [float(number) for number in vector] == pytest.approx([0.1, 0.2, 0.3], abs=1e-7)
    assert client.execute_command("VEMB", "set", "a", "RAW")[0] == b"f32"
    with pytest.raises(redis.ResponseError, match="unknown command"):
        client.execute_command("VRANGE", "set", "-", "+")
    client.execute_command("VADD", "set", "FP32", VECTOR + added[:4], "b", "NOQUANT")
    assert sorted(client.execute_command("VRANDMEMBER", "set", "100")) == [b"a", b"b"]


def test_vector_sets_tell_nobody_of_a_write_and_json_does(client):
    client.config_set("notify-keyspace-events", "KEA")
    with client.pubsub() as listener:
        listener.psubscribe("__keyevent@0__:*")
        client.execute_command("VADD", "set", "FP32", VECTOR, "a")
        client.execute_command("VSETATTR", "set", "a", "{}")
        client.execute_command("JSON.SET", "key", "$", "1")
        events, deadline = [], time.monotonic() + 5
        while b"json.set" not in events and time.monotonic() < deadline:
            message = listener.get_message(ignore_subscribe_messages=True, timeout=0.1)
            events += [message["channel"].partition(b":")[2]] if message else []
    assert events == [b"json.set"]


def test_acl_categories_know_nothing_of_the_modules(client, search_redis):
    client.execute_command("JSON.SET", "key", "$", "1")
    client.acl_setuser("reader", enabled=True, passwords="+secret", keys="*", categories=["+@read"], reset=True)
    with redis.Redis.from_url(search_redis, username="reader", password="secret") as reader:
        assert reader.exists("key")
        with pytest.raises(redis.exceptions.NoPermissionError):
            reader.execute_command("JSON.GET", "key")
        client.acl_setuser("reader", commands=["+json.get"], enabled=True)
        assert reader.execute_command("JSON.GET", "key") == b"1"
    client.acl_deluser("reader")

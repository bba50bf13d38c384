"""What is in quarantine: how it is kept in Redis, and who may read what is written of it."""

import base64
import hashlib
import json
import stat

import pytest
import redis

from chatstore.errors import ConfigurationError
from chatstore.models import Kind, Quarantined, RawKept
from chatstore.redis import RawData, RedisProgress, connect
from chatstore.redis.raw import new_key
from tests.cli.conftest import program  # noqa: F401

HELD = "chatstore:{chat}:quarantine"


def record(raw):
    return Quarantined(key="session:bad", reason="no JSON", raw=raw, size=len(raw))


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


async def kept(url, raw, data):
    """Put a record into quarantine, and return what lies in Redis, and what another process reads of it."""
    client = connect(url)
    await RedisProgress(client, Kind.CHAT, raw=data).quarantine([record(raw)])
    [held] = await client.ask("HVALS", HELD)

    async def read_by(other):
        [found] = [each async for each in RedisProgress(client, Kind.CHAT, raw=other).quarantined()]
        return found

    return held.decode(), read_by, client


async def test_it_is_kept_as_it_is_unless_it_is_told_otherwise(canaries, redis_database):
    raw = canaries.new("raw").encode()
    held, read_by, client = await kept(redis_database, raw, None)
    assert canaries.found_in(held) == ["raw"]
    assert await read_by(RawData(RawKept.HASH)) == (found := await read_by(None))
    assert (found.raw, found.kept, found.is_sealed) == (raw, RawKept.PLAIN, False)
    await client.aclose()


async def test_it_can_be_encrypted_and_read_with_the_key_alone(canaries, redis_database):
    raw, key, newer = canaries.new("raw").encode(), canaries.plant("key", new_key()), new_key()
    held, read_by, client = await kept(redis_database, raw, RawData(RawKept.ENCRYPTED, key))
    assert canaries.found_in(held) == []
    found = await read_by(RawData(RawKept.PLAIN, key))
    assert (found.raw, found.kept, found.is_sealed) == (raw, RawKept.ENCRYPTED, False)
    assert (await read_by(RawData(RawKept.ENCRYPTED, f"{newer}, {key}"))).raw == raw
    for other in (None, RawData(RawKept.ENCRYPTED, newer)):
        sealed = await read_by(other)
        assert (sealed.raw, sealed.size, sealed.is_sealed) == (b"", len(raw), True)
    await client.aclose()


async def test_it_can_be_a_hash_alone(canaries, redis_database):
    raw = canaries.new("raw").encode()
    held, read_by, client = await kept(redis_database, raw, RawData(RawKept.HASH))
    assert canaries.found_in(held) == []
    found = await read_by(None)
    assert (found.raw, found.sha256) == (b"", hashlib.sha256(raw).hexdigest())
    await client.aclose()


def test_a_key_that_is_none_is_told_without_it(canaries):
    for keys in (canaries.new("short"), f"{new_key()},{canaries.new('second')}"):
        with pytest.raises(ConfigurationError, match="CHATSTORE_QUARANTINE_KEY is no key") as raised:
            RawData(RawKept.ENCRYPTED, keys)
        assert canaries.found_in(f"{raised.value!r} {raised.value.__cause__!r}") == []
    with pytest.raises(ConfigurationError, match="there is no CHATSTORE_QUARANTINE_KEY"):
        RawData(RawKept.ENCRYPTED)


def test_the_commands_keep_it_as_the_settings_say(program, canaries, redis_database, settings):  # noqa: F811
    text = canaries.new("raw")
    program.set(REDIS_URL=redis_database, SUPABASE_URL=settings.supabase_url)
    program.set(SUPABASE_SECRET_KEY=settings.supabase_secret_key)
    key = program("quarantine", "key").out.strip()
    program.set(CHATSTORE_QUARANTINE="encrypted", CHATSTORE_QUARANTINE_KEY=key)
    with redis.Redis.from_url(redis_database) as client:
        client.hset("session:bad", mapping={"userId": "u", "createdAt": text})
        assert program("migrate", "--chat", "--json").json["chat"]["quarantined"] == 1
        assert canaries.found_in(client.hgetall(HELD).popitem()[1].decode()) == []

    listed = program("quarantine", "list", "--json")
    assert listed.json["chat"]["records"][0]["kept"] == "encrypted"
    assert canaries.found_in(listed.out + listed.err) == []
    shown = program("quarantine", "show", "session:bad")
    assert canaries.found_in(shown.out) == ["raw"]

    file = program.folder / "quarantine.jsonl"
    file.write_text("older")
    file.chmod(0o644)
    assert program("quarantine", "export", file).status == 0
    assert mode(file) == 0o600
    [line] = map(json.loads, file.read_text().splitlines())
    assert text in base64.b64decode(line["raw_base64"]).decode()
    assert (line["kind"], line["key"], line["kept"]) == ("chat", "session:bad", "encrypted")
    assert list(program.folder.iterdir()) == [file]

    program.set(CHATSTORE_QUARANTINE_KEY=new_key())
    shown = program("quarantine", "show", "session:bad")
    assert "encrypted with another key" in shown.out
    assert canaries.found_in(shown.out) == []
    refused = program("quarantine", "export", program.folder / "nowhere" / "q.jsonl")
    assert refused.status == 2
    assert "cannot be written" in refused.err


def test_a_report_is_its_owners_alone(program, redis_database, settings):  # noqa: F811
    program.set(REDIS_URL=redis_database, SUPABASE_URL=settings.supabase_url)
    program.set(SUPABASE_SECRET_KEY=settings.supabase_secret_key)
    file = program.folder / "report.html"
    file.write_text("older")
    file.chmod(0o666)
    assert program("migrate", "--chat", "--report", file).status == 0
    assert mode(file) == 0o600

"""Looking at a Redis, and the proof that nothing but looking was done."""

import pytest
import redis

from chatstore.redis import connect
from chatstore.redis.inspection import Options, inspect

MANY = 10_000

# What docs/guide.md tells users to allow, on a server without modules, and what besides on one that has them.
READER = ("+@read", "+info", "+time", "+select", "+script|load", "+eval_ro", "+evalsha_ro")
MODULES = (
    *("+json.get", "+json.mget", "+json.objkeys", "+ft._list", "+ft.info", "+ft.search", "+ft.aggregate", "+ft.cursor"),
    *("+vcard", "+vemb", "+vgetattr", "+vinfo", "+vrandmember"),
)


def fingerprint(url):
    """What changes with a database, whatever is written there.

    Of a server that one process has to itself: its own count of changes. Of one that other workers write to as well: all
    that the test's database holds; of very much, how many keys, and which of them are chatstore's.
    """
    with redis.Redis.from_url(url.replace("looker:secret@", "")) as client:
        if any(module[b"name"] == b"search" for module in client.module_list()):
            return client.info("persistence")["rdb_changes_since_last_save"]
        if client.dbsize() > MANY:
            return client.dbsize(), sorted(client.scan_iter("chatstore:*", count=10_000))
        return sorted((key, client.pexpiretime(key), content(client, key)) for key in client.scan_iter(count=1000))


def content(client, key):
    match client.type(key):
        case b"string":
            return client.get(key)
        case b"list":
            return client.lrange(key, 0, -1)
        case b"hash":
            return sorted(client.hgetall(key).items())
        case b"set":
            return sorted(client.smembers(key))
        case b"zset":
            return client.zrange(key, 0, -1, withscores=True)
        case b"stream":
            return client.xrange(key)
        case kind:
            raise ValueError(f"a {kind}")


@pytest.fixture
def look():
    """A function that inspects a Redis by its URL, and fails if anything in it was changed."""

    async def look(url, **options):
        before = fingerprint(url)
        async with connect(url) as client:
            found = await inspect(client, Options(**options))
        assert fingerprint(url) == before
        return found

    return look


@pytest.fixture
def reader_of():
    """A function that makes a user with some rights, and returns the URL by which it logs in."""
    made = []

    def make(url, *rules, keys="%R~*"):
        admin = redis.Redis.from_url(url)
        made.append(admin)
        admin.execute_command("ACL", "SETUSER", "looker", "reset", "on", ">secret", keys, *rules)
        return url.replace("redis://", "redis://looker:secret@")

    yield make
    for admin in made:
        admin.execute_command("ACL", "DELUSER", "looker")
        admin.close()

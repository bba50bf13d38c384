"""Looking at a Redis, and the proof that nothing but looking was done."""

import pytest
import redis

from chatstore.redis import connect
from chatstore.redis.inspection import Options, inspect

# What docs/guide.md tells users to allow, on a server without modules, and what besides on one that has them.
READER = ("+@read", "+info", "+time", "+select", "+script|load", "+eval_ro", "+evalsha_ro")
MODULES = (
    *("+json.get", "+json.mget", "+json.objkeys", "+ft._list", "+ft.info", "+ft.search", "+ft.aggregate", "+ft.cursor"),
    *("+vcard", "+vemb", "+vgetattr", "+vinfo", "+vrandmember"),
)


def changes_of(url):
    """How many changes the server's data has seen, by its own count."""
    with redis.Redis.from_url(url.replace("looker:secret@", "")) as client:
        return client.info("persistence")["rdb_changes_since_last_save"]


@pytest.fixture
def look():
    """A function that inspects a Redis by its URL, and fails if anything in it was changed."""

    async def look(url, **options):
        before = changes_of(url)
        async with connect(url) as client:
            found = await inspect(client, Options(**options))
        assert changes_of(url) == before
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

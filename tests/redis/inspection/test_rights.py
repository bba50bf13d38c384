"""A user with the least rights that an inspection needs: with any one less it cannot tell as much."""

import pytest
import redis

from chatstore.errors import ChatStoreError
from chatstore.redis.access import Purpose, acl_rules
from tests.frameworks import dumps

DUMPS = (
    *("langchain-chat", "langchain-redis-old-chat", "openai-agents-chat"),
    *("redisvl-documents-json", "vector-sets", "langchain-documents"),
)
SELDOM = {"+ft.aggregate", "+ft.cursor", "+hrandfield", "+json.mget", "+lindex", "+time", "+zscore"}
"""What is needed where something is larger than here, or chatstore wrote already, or what is quicker than something else."""

RULES = acl_rules(Purpose.INSPECT, None, None, modules=True)


@pytest.fixture
def url(search_redis):
    """The URL of a Redis that has something of everything."""
    with redis.Redis.from_url(search_redis, protocol=2) as client:
        for name in DUMPS:
            dumps.load(name).restore(client)
        client.sadd("some:set", *map(str, range(10)))
        client.zadd("some:sorted", {"a": 1})
        client.xadd("some:stream", {"a": "b"})
        client.set("some:text", "x" * 100_000)
        client.hset("some:hash", mapping={str(i): "x" * 1000 for i in range(200)})
        client.hset("some:field", "long", "x" * 100_000)
        for name in ("one", "two"):
            client.hset(f"document:{name}", mapping={"userId": "ann", "content": "x", "createdAt": 1, "updatedAt": 1})
            client.hset(
                f"session:{name}", mapping={"userId": "ann", "createdAt": 1, "updatedAt": 1, "messageIds": "[]"}
            )
        client.pexpire("session:one", 1_000_000)
        client.set("session:text", "no hash")
        client.rpush("session:list", "no hash")
    return search_redis


@pytest.fixture
def seen(look, url):
    """A function that inspects as a user with some rights, and returns what is the same each time."""

    async def seen(*rules):
        with redis.Redis.from_url(url) as admin:
            admin.execute_command("ACL", "SETUSER", "looker", *rules, "on", ">secret")
            admin.script_flush()
            admin.execute_command("ACL", "LOG", "RESET")
        found = await look(url.replace("redis://", "redis://looker:secret@"))
        groups = {
            (one.kind, one.layout, one.prefix, one.index, *counted(one), *read(one.records)) for one in found.groups
        }
        unclaimed = {(one.pattern, one.type, one.keys) for one in found.unclaimed}
        return found.server, found.keys, groups, tuple(found.elsewhere.items()), unclaimed, found.gaps

    yield seen
    with redis.Redis.from_url(url) as admin:
        admin.execute_command("ACL", "DELUSER", "looker")


def counted(group):
    return group.keys, group.sessions, group.messages, group.documents, group.expiry.keys, group.memory is None


def read(records):
    problems = [(one.reason, one.records) for one in records.quarantined]
    return (
        records.read,
        records.messages_read,
        records.oldest,
        records.newest,
        records.unindexed,
        tuple(sorted(problems)),
    )


async def test_with_these_rights_it_tells_all_that_it_tells_with_every_right(seen, url):
    everything = await seen("reset", "+@all", "~*")
    assert await seen(*RULES) == everything
    with redis.Redis.from_url(url) as admin:
        assert admin.execute_command("ACL", "LOG") == []


async def test_with_one_less_it_tells_less_or_says_what_it_may_not(seen):
    everything = await seen(*RULES)
    unneeded = []
    for right in RULES[2:]:
        try:
            if await seen(*(rule for rule in RULES if rule != right)) == everything:
                unneeded.append(right)
        except ChatStoreError:
            continue
    assert set(unneeded) <= SELDOM

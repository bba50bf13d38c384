"""Users with the least rights: all works with them, and with any one less something is refused, which names the right."""

import contextlib
import re
from dataclasses import dataclass

import pytest
import redis.asyncio

from chatstore.errors import ConfigurationError
from chatstore.redis import chat_layout, connect, document_layout
from chatstore.redis.access import Purpose, acl_rules
from tests.redis.access.scenario import every_read, every_write, fill

DOES = {Purpose.ROUTER: every_write, Purpose.MIGRATE: every_read}


def layouts(name):
    return chat_layout(name), document_layout(name)


@dataclass
class Users:
    """Makes users on a server, each with the rules of a case, and a database that is empty but for what an app has."""

    url: str
    admin: redis.asyncio.Redis
    name: str

    async def do(self, purpose, layout, rules):
        """Do all that a user of this purpose does, with these rules; return what the server's log says was refused."""
        await self.admin.flushdb()
        if purpose is Purpose.MIGRATE:
            await fill(self.admin, *layouts(layout))
        await self.admin.script_flush()
        async with await self.given(rules) as client:
            await DOES[purpose](client, self.admin, *layouts(layout))

    async def given(self, rules):
        """Return a client of a user with these rules."""
        await self.admin.execute_command("ACL", "SETUSER", self.name, *rules, "on", ">secret")
        return connect(self.url.replace("://", f"://{self.name}:secret@"))

    async def refused(self):
        log = await self.admin.execute_command("ACL", "LOG")
        return [entry for entry in log if (entry.get("username") or entry.get(b"username")) == self.name.encode()]


@contextlib.asynccontextmanager
async def users_of(url, name):
    async with redis.asyncio.Redis.from_url(url) as admin:
        yield Users(url, admin, name)
        await admin.execute_command("ACL", "DELUSER", name)


@pytest.fixture
async def users(redis_database, namespace):
    async with users_of(redis_database, namespace) as users:
        yield users


def rules_of(purpose, layout, url):
    return acl_rules(purpose, *layouts(layout), database=int(url.rsplit("/", 1)[1]))


@pytest.mark.parametrize("layout", ["hash", "chatstore"])
@pytest.mark.parametrize("purpose", list(DOES))
async def test_a_user_with_these_rights_is_refused_nothing(users, purpose, layout):
    await users.do(purpose, layout, rules_of(purpose, layout, users.url))
    assert await users.refused() == []


@pytest.mark.parametrize("layout", ["hash", "chatstore"])
async def test_so_it_is_on_redis_itself(search_redis, namespace, layout):
    async with users_of(search_redis, namespace) as users:
        for purpose in DOES:
            await users.do(purpose, layout, rules_of(purpose, layout, users.url))
            assert await users.refused() == []


@pytest.mark.parametrize(
    ("purpose", "layout"), [(Purpose.ROUTER, "hash"), (Purpose.ROUTER, "chatstore"), (Purpose.MIGRATE, "hash")]
)
async def test_each_right_is_needed_and_what_is_refused_names_it(users, purpose, layout):
    rules = rules_of(purpose, layout, users.url)
    for right, fewer in each_less(rules):
        told = await refusal(users.do(purpose, layout, fewer))
        assert "ACL SETUSER" in told, f"{purpose} over {layout} did all it does without {right}"
        # With selectors the server may only say that the key is out of reach.
        if purpose is Purpose.ROUTER and right.startswith("+"):
            assert f"{right}." in told


async def refusal(work):
    try:
        await work
    except ConfigurationError as error:
        return str(error)
    return ""


def each_less(rules):
    """Yield each right with the rules that lack it."""
    for i, rule in enumerate(rules):
        if rule.startswith("("):
            words = rule[1:-1].split()
            for word in words[1:]:
                yield word, [*rules[:i], f"({' '.join(one for one in words if one != word)})", *rules[i + 1 :]]
        elif rule not in ("reset", "-@all"):
            yield rule, [*rules[:i], *rules[i + 1 :]]


async def test_a_migrations_user_cannot_change_the_apps_own_keys(users, namespace):
    await users.do(Purpose.MIGRATE, "hash", rules_of(Purpose.MIGRATE, "hash", users.url))
    url = users.url.replace("://", f"://{users.name}:secret@")
    async with redis.asyncio.Redis.from_url(url) as client:
        await client.hset("chatstore:x", "a", "b")
        for command in (("HSET", "session:x", "a", "b"), ("DEL", "message:x"), ("SET", "document:x", "y")):
            with pytest.raises(redis.exceptions.NoPermissionError):
                await client.execute_command(*command)


async def test_a_router_of_one_kind_has_no_right_to_the_other(users):
    rules = acl_rules(Purpose.ROUTER, chat_layout("hash"), None)
    assert [rule for rule in rules if rule.startswith("~")] == ["~chatstore:*", "~message:*", "~session:*"]


def test_a_prefix_with_glob_characters_stands_for_itself():
    rules = acl_rules(Purpose.ROUTER, None, document_layout("hash", prefix="a*[b] c:"))
    assert rules[-1] == "~a\\*\\[b\\] c:*"
    assert all(re.match(r"[-+~a-z]", rule) for rule in rules)

"""What a look ahead says of settings, limits and time is what a migration with these settings then meets."""

import json

import pytest
import redis

from benchmarks import ledgers
from chatstore.backends import Backends
from chatstore.models import Kind
from chatstore.preflight import Rates, Wishes, preflight
from chatstore.preflight.durations import DOCUMENT_BYTES, MESSAGE_BYTES, SESSION_BYTES, extra_memory
from chatstore.redis import connect
from chatstore.settings import load_settings
from tests.cli.conftest import NAMES
from tests.frameworks import dumps
from tests.redis.inspection.test_layouts_found import CHATS, DOCUMENTS


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def fill(search_redis):
    def fill(name):
        with redis.Redis.from_url(search_redis, protocol=2) as client:
            dumps.load(name).restore(client)
        return search_redis

    return fill


@pytest.fixture
def settings_of(tmp_path):
    """A function that returns the settings that the lines of a report make, read from a file as a user's are."""

    def read(report, url):
        lines = [line + "all:ann" if line.endswith("OWNERS=") else line for line in report.settings]
        (tmp_path / ".env.local").write_text("\n".join([f"REDIS_URL={url}", *lines]))
        return load_settings()

    return read


@pytest.mark.parametrize("name", CHATS)
async def test_with_the_settings_that_it_prints_a_scan_finds_the_chats(name, fill, settings_of):
    url = fill(name)
    report = await preflight(load_settings(redis_url=url))
    async with Backends(settings_of(report, url)) as backends:
        side = await backends.old_chat()
        sessions, messages = set(), 0
        async for page in side.scan():
            assert page.quarantined == ()
            sessions |= {change.session_id for change in page.changes}
            messages += sum(len(change.messages) for change in page.changes)
    assert (len(sessions), messages) == CHATS[name][3:]


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_with_the_settings_that_it_prints_a_scan_finds_the_documents(name, fill, settings_of):
    url = fill(name)
    report = await preflight(load_settings(redis_url=url))
    group = report.chosen[Kind.DOCUMENTS]
    async with Backends(settings_of(report, url)) as backends:
        side = await backends.old_documents()
        found = [page async for page in side.scan()]
    read = sum(len(page.changes) for page in found)
    assert read == sum(group.records.dimensions.values())
    assert read + sum(len(page.quarantined) for page in found) == group.documents.value == 3


def fill_documents(url, *documents):
    with redis.Redis.from_url(url) as client:
        for place, (user, numbers, text) in enumerate(documents):
            held = {"userId": user, "content": text, "embedding": json.dumps(numbers), "createdAt": 1_700_000_000_000}
            client.hset(f"document:{place}", mapping=held)


async def test_documents_of_two_dimensions_in_one_collection_are_refused(redis_database):
    fill_documents(redis_database, ("ann", [1, 2], ""), ("ann", [1, 2], ""), ("ann", [1, 2, 3], ""), ("bob", [1], ""))
    report = await preflight(load_settings(redis_url=redis_database))
    [finding] = report.chosen[Kind.DOCUMENTS].records.refused
    assert (finding.records.value, finding.example) == (1, "document:2")
    assert not report.is_fine
    together = await preflight(load_settings(redis_url=redis_database, collections="one"))
    [finding] = together.chosen[Kind.DOCUMENTS].records.refused
    assert finding.records.value == 2


async def test_the_chroma_of_the_settings_says_which_limits_hold(redis_database):
    fill_documents(redis_database, ("ann", [1, 2], "x" * 16_385))
    assert (await preflight(load_settings(redis_url=redis_database))).is_fine
    cloud = await preflight(load_settings(redis_url=redis_database, chroma_api_key="key"))
    [finding] = cloud.chosen[Kind.DOCUMENTS].records.refused
    assert "16,384" in finding.reason
    assert cloud.targets[Kind.DOCUMENTS] == "Chroma Cloud"
    assert not cloud.is_fine


async def test_owners_and_users_of_the_settings_are_applied(redis_database, tmp_path):
    with redis.Redis.from_url(redis_database) as client:
        for user in ("old-ann", "old-bob"):
            client.rpush(f"message_store:{user}:1", '{"type": "human", "data": {"content": "hi"}}')
    (tmp_path / "users.csv").write_text("old,new\nold-ann,ann\n")
    report = await preflight(
        load_settings(
            redis_url=redis_database, owners="key:message_store:{user}:*", users=f"csv:{tmp_path / 'users.csv'}"
        )
    )
    group = report.chosen[Kind.CHAT]
    assert group.records.whose.users == 1
    [finding] = group.records.quarantined
    assert "old-bob" in finding.reason
    assert "CHATSTORE_OWNERS=key:message_store:{user}:*" in report.settings


async def test_settings_that_name_what_is_not_there_are_told_of(redis_database):
    fill_documents(redis_database, ("ann", [1, 2], ""))
    report = await preflight(load_settings(redis_url=redis_database, document_layout="vector-set"))
    assert any("CHATSTORE_DOCUMENT_LAYOUT is vector-set" in one for one in report.advice)


async def test_of_several_places_the_one_that_the_settings_name_is_taken(redis_database):
    with redis.Redis.from_url(redis_database) as client:
        for place in range(3):
            client.rpush(f"message_store:{place}", '{"type": "human", "data": {"content": "hi"}}')
        client.rpush("other:history:1", '{"type": "human", "data": {"content": "hi"}}')
        client.rpush("other:history:2", '{"type": "human", "data": {"content": "hi"}}')
    settings = load_settings(redis_url=redis_database)
    assert (await preflight(settings)).chosen[Kind.CHAT].prefix == "message_store:"
    named = load_settings(redis_url=redis_database, chat_layout="langchain", chat_prefix="other:history:")
    report = await preflight(named)
    assert report.chosen[Kind.CHAT].prefix == "other:history:"
    assert "CHATSTORE_CHAT_PREFIX=other:history:" in report.settings
    assert any("message_store:" in one for one in report.advice)


async def test_how_long_it_takes_follows_from_the_rates(redis_database):
    fill_documents(redis_database, *(("ann", [1, 2], "") for _ in range(100)))
    rates = {Kind.DOCUMENTS: Rates(least=10, most=20, said=True)}
    report = await preflight(load_settings(redis_url=redis_database), Wishes(rates=rates))
    duration = report.durations[Kind.DOCUMENTS]
    assert (duration.least, duration.most, duration.memory.value) == (5, 10, 0)
    assert duration.read_rate > 20


async def test_the_memory_that_it_foretells_is_what_the_ledgers_take(redis_database):
    async with connect(redis_database) as client:
        of_chat = await ledgers.of_chat(client, 100, 20)
        report = await preflight(load_settings(redis_url=redis_database))
        foretold = extra_memory(report.chosen[Kind.CHAT]).value
        assert foretold == 100 * SESSION_BYTES + 2_000 * MESSAGE_BYTES
        assert abs(foretold - of_chat) < of_chat * 0.25
        of_documents = await ledgers.of_documents(client, 100)
        assert abs(100 * DOCUMENT_BYTES - of_documents) < of_documents * 0.25


async def test_an_apps_own_client_is_used_and_stays_open(redis_database):
    async with redis.asyncio.Redis.from_url(redis_database) as client:
        assert (await preflight(load_settings(redis_url="redis://nowhere:1"), redis=client)).is_fine
        assert await client.ping()

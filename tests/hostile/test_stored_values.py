"""What lies in Redis: a migration carries it over as it is, or keeps it in quarantine with its key and a reason."""

import asyncio
from dataclasses import dataclass

import psycopg
import pytest
import redis

from chatstore.backends import Backends
from chatstore.models import Kind, to_micros
from chatstore.settings import load_settings
from tests.cli.conftest import Outcome, Program
from tests.conformance.factories.chroma import new_database
from tests.conftest import empty_database
from tests.hostile.records import DOCUMENTS, LANGCHAIN, MESSAGES, SESSIONS, Bad, fill, fill_langchain

TABLES = ("public.sessions", "chatstore.tombstones", "chatstore.session_states", "chatstore.marks")


@dataclass
class Moved:
    """What the commands made of what lay in a Redis.

    Attributes:
        runs: What each command came to.
        found: The new side's records, by the kind of their keys in Redis, then by their ids.
        quarantine: What was not taken, by the keys.
        again: The reasons of what was not taken by another run, and what was found then.
        changed: The keys, other than chatstore's own, that hold another value than before.
    """

    runs: list[Outcome]
    found: dict
    quarantine: dict
    again: tuple[dict, dict]
    changed: list[bytes]


@pytest.fixture(scope="module")
def move(stack, settings, database_url, chroma_url, tmp_path_factory):
    """A function that moves what another writes into a Redis: migrate, verify, and migrate again."""

    def by_commands(write, kinds=(), **own):
        url = empty_database(stack)
        with psycopg.connect(database_url) as connection:
            for table in TABLES:
                connection.execute(f"delete from {table}")
        with pytest.MonkeyPatch.context() as patching, redis.Redis.from_url(url) as client:
            write(client)
            before = values(client)
            program = Program(patching, tmp_path_factory.mktemp("moved"))
            program.set(
                REDIS_URL=url,
                SUPABASE_URL=settings.supabase_url,
                SUPABASE_SECRET_KEY=settings.supabase_secret_key,
                CHROMA_URL=chroma_url,
                CHROMA_DATABASE=new_database(chroma_url),
                **own,
            )
            runs = [program(command, "--json", *kinds) for command in ("migrate", "verify")]
            found, quarantine = asyncio.run(read())
            runs += [program("migrate", "--json", *kinds), program("quarantine", "list", "--json", *kinds)]
            found_again, other = asyncio.run(read())
            after = values(client)
        changed = [key for key in before if after.get(key) != before[key]]
        return Moved(runs, found, quarantine, (found_again, other), changed)

    return by_commands


@pytest.fixture(scope="module")
def moved(move):
    """All records of the layout `hash`."""
    return move(fill)


@pytest.fixture(scope="module")
def langchain(move):
    """Lists of LangChain's."""
    return move(fill_langchain, kinds=["--chat"], CHATSTORE_LAYOUT="langchain", CHATSTORE_OWNERS="all:ann")


def values(client):
    keys = [key for key in client.scan_iter(count=1000) if not key.startswith(b"chatstore:")]
    # The order of a hash's fields is the server's affair.
    return {key: client.hgetall(key) if client.type(key) == b"hash" else client.dump(key) for key in keys}


async def read():
    async with Backends(load_settings()) as backends:
        chat = [one async for page in (await backends.new_chat()).scan() for one in page.changes]
        documents = [one async for page in (await backends.new_documents()).scan() for one in page.changes]
        bad = [record for kind in Kind async for record in backends.progress(kind).quarantined()]
    found = {
        "session": {one.session_id: one.session for one in chat},
        "message": {message.id: message for one in chat for message in one.messages},
        "item": [message for one in chat for message in one.messages],
        "document": {one.key.id: one.document for one in documents},
    }
    return found, {record.key: record for record in bad}


def check(moved, kind, case):
    shown = case.key.decode("utf-8", "backslashreplace")
    name = shown.removeprefix(f"{kind}:")
    # What the new side refused has its name there.
    elsewhere = {"session": f"session/{name}", "message": f"session/mixed/message/{name}"}.get(kind)
    record, held = moved.quarantine.get(shown) or moved.quarantine.get(elsewhere), moved.found[kind].get(name)
    if isinstance(case.expected, Bad):
        assert record is not None, f"not in quarantine; on the new side it is {held}"
        assert case.expected.reason in record.reason
        assert case.expected.value in record.raw
        assert held is None
        return
    assert record is None, record.reason
    assert held is not None, "nowhere"
    for field, value in case.expected.held.items():
        found = getattr(held, field)
        if field == "created_at":
            found = to_micros(found)
        assert (tuple(found) if field == "embedding" else found) == value


@pytest.mark.parametrize("case", SESSIONS.values(), ids=SESSIONS)
def test_a_session(moved, case):
    check(moved, "session", case)


@pytest.mark.parametrize("case", MESSAGES.values(), ids=MESSAGES)
def test_a_message(moved, case):
    check(moved, "message", case)


@pytest.mark.parametrize("case", DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document(moved, case):
    check(moved, "document", case)


def test_the_healthy_ones_all_arrive(moved):
    kinds = ("session", "message", "document")
    healthy = {kind: sum(one.startswith("healthy ") for one in moved.found[kind]) for kind in kinds}
    assert healthy == {"session": 20, "message": len(MESSAGES), "document": 20}


def test_nothing_is_in_quarantine_but_what_is_bad(moved):
    bad = [
        case.key
        for cases in (SESSIONS, MESSAGES, DOCUMENTS)
        for case in cases.values()
        if isinstance(case.expected, Bad)
    ]
    assert len(moved.quarantine) == len(set(bad))


@pytest.mark.parametrize("name", LANGCHAIN)
def test_an_item_of_a_list(langchain, name):
    item, expected = LANGCHAIN[name]
    messages = [one for one in langchain.found["item"] if one.session_id == name]
    messages.sort(key=lambda one: one.order)
    bad = [record for key, record in langchain.quarantine.items() if key.startswith(f"message_store:{name}#")]
    assert [messages[0].content, messages[-1].content] == ["before", "after"]
    if isinstance(expected, Bad):
        [record] = bad
        assert (len(messages), record.raw) == (2, item[:65_536])
        assert record.reason
        assert expected.reason in record.reason
    else:
        [_, held, _] = messages
        assert bad == []
        assert held.content == expected.held["content"]
        assert ("OPENAI_API_KEY" in str(held.extra)) == (name == "a secret")


def test_what_was_not_taken_is_said_by_each_command(moved, langchain):
    for runs in (moved.runs, langchain.runs):
        assert [run.status for run in runs] == [1, 1, 1, 1]
        migrated, verified, again, listed = [run.json["chat"] for run in runs]
        # What two walks come by, of messages and of sessions, counts twice.
        assert migrated["quarantined"] == verified["quarantined"] == again["quarantined"] >= listed["count"] > 0
        assert verified["equal"]
        assert not any("Traceback" in run.err for run in runs)


def test_a_second_run_ends_as_the_first(moved, langchain):
    for one in (moved, langchain):
        found, quarantine = one.again
        assert found == one.found
        assert {key: (record.reason, record.raw) for key, record in quarantine.items()} == {
            key: (record.reason, record.raw) for key, record in one.quarantine.items()
        }


def test_nothing_in_redis_is_changed(moved, langchain):
    assert moved.changed == langchain.changed == []

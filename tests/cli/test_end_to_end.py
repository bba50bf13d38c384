"""The whole migration by three commands, from data that no chatstore wrote to what no chatstore reads."""

import json
import signal
import time
from array import array

import chromadb
import psycopg
import pytest
import redis

from chatstore.local import LocalStack
from tests.cli.conftest import ended

USERS = ["auth0|ana", "ben@example.org"]
SESSIONS = 40
MESSAGES = 5
EMBEDDING = [0.1, -2.5, 3e-7, 1.0]


def fill(client, sessions=SESSIONS):
    """Write sessions, messages and documents as an app of the layout `hash` does, chatstore not being involved."""
    pipe = client.pipeline()
    for number in range(sessions):
        user, times = USERS[number % 2], {"createdAt": 1_700_000_000_123 + number, "updatedAt": 1_700_000_100_456}
        ids = [f"s{number}-m{place}" for place in range(MESSAGES)]
        session = {"userId": user, "title": f"Talk {number}", "messageIds": json.dumps(ids), "metadata": '{"a": [1]}'}
        pipe.hset(f"session:s{number}", mapping={**session, **times})
        for place, message_id in enumerate(ids):
            message = {"sessionId": f"s{number}", "role": "user", "content": f"Grüße {place}", "metadata": "{}"}
            pipe.hset(f"message:{message_id}", mapping={**message, "createdAt": 1_700_000_000_000 + place})
        document = {"title": f"Doc {number}", "content": f"text {number}", "url": "https://example.org/d"}
        document |= {"userId": user, "embedding": json.dumps(EMBEDDING), "metadata": json.dumps({"page": number})}
        pipe.hset(f"document:d{number}", mapping={**document, **times})
    pipe.execute()


@pytest.fixture
def own(program, own_stack):
    """A stack of this test's own, named in the settings."""
    program.set(**own_stack.settings.environment(), CHATSTORE_FLAG_FILE=program.folder / "flags.json")
    return own_stack.settings


@pytest.fixture
def client(own):
    with redis.Redis.from_url(own.redis_url) as client:
        yield client


def rows(own, sql):
    with psycopg.connect(own.supabase_db_url) as connection:
        return connection.execute(sql).fetchall()


def documents(own):
    host, port = own.chroma_url.removeprefix("http://").split(":")
    server = chromadb.HttpClient(host, int(port))
    found = {}
    for collection in server.list_collections():
        if collection.name.startswith("user_docs_"):
            held = server.get_collection(collection.name, embedding_function=None).get(
                include=["documents", "embeddings", "metadatas"]
            )
            parts = zip(held["ids"], held["documents"], held["embeddings"], held["metadatas"], strict=True)
            found |= {one: (text, embedding, metadata) for one, text, embedding, metadata in parts}
    return found


@pytest.mark.timeout(300)
def test_three_commands_are_the_whole_migration(program, own, client):
    fill(client)
    for command in (("schema", "--apply"), ("migrate",), ("verify",)):
        done = program.apart(*command)
        assert done.status == 0, done.err

    assert rows(own, "select count(*) from public.sessions") == [(SESSIONS,)]
    [(user, title, metadata, micros)] = rows(
        own,
        "select user_id, title, metadata, (extract(epoch from created_at) * 1000)::bigint "
        "from public.sessions where id = 's1'",
    )
    assert (user, title, metadata, micros) == (USERS[1], "Talk 1", {"a": [1]}, 1_700_000_000_124)
    assert rows(own, "select id, role, content from public.messages where session_id = 's7' order by position, id") == [
        (f"s7-m{place}", "user", f"Grüße {place}") for place in range(MESSAGES)
    ]
    held = documents(own)
    assert len(held) == SESSIONS
    text, embedding, metadata = held["d3"]
    assert text == "text 3"
    assert embedding.astype("float32").tolist() == array("f", EMBEDDING).tolist()
    assert {"Doc 3", "https://example.org/d", USERS[1], 3} <= {
        value for value in metadata.values() if isinstance(value, str | int)
    }

    before = rows(own, "select session_id, id, position from public.messages order by 1, 2")
    again = program.apart("migrate", "--json")
    assert (again.status, again.json["chat"]["quarantined"]) == (0, 0)
    assert rows(own, "select session_id, id, position from public.messages order by 1, 2") == before
    assert len(documents(own)) == SESSIONS

    status = program.apart("status", "--json")
    assert status.status == 0
    assert all(status.json[kind]["state"]["verified_at"] for kind in ("chat", "documents"))
    assert program("stage", "chat", "live", "--percent", 10).status == 0
    assert program("stage", "chat", "complete").status == 0

    client.hset("session:bad", mapping={"userId": "u", "createdAt": b"\xff\x1b[2J"})
    client.set("document:bad", "no hash")
    bad = program.apart("migrate", "--json")
    assert (bad.status, bad.json["chat"]["quarantined"], bad.json["documents"]["quarantined"]) == (1, 1, 1)
    listed = program.apart("quarantine", "list")
    assert (listed.status, "session:bad" in listed.out, "\x1b" in listed.out) == (1, True, False)
    assert program.apart("verify").status == 1

    assert program("stage", "chat", "complete", "--close-way-back", "--yes").status == 0
    assert program("stage", "chat", "off").status == 2
    assert program.apart("migrate", "--chat").status == 2


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_migrate_that_is_stopped_says_how_to_go_on_and_the_next_goes_on(program, own, client, number):
    fill(client, sessions=6000)
    process = program.started("migrate", "--chat", "--json")
    with psycopg.connect(own.supabase_db_url) as connection:
        until_copied(own, 600)  # several batches: the checkpoint has moved by then
        connection.execute("lock table public.messages in exclusive mode")  # so that it does not end before the signal
        seen = until_told(program, f"pid {process.pid}")
        process.send_signal(number)
        done = ended(process)
    assert "copy, " in seen
    assert done.status == 130
    assert "the next run goes on there: chatstore migrate --chat" in done.err
    assert done.json["stopped"]["message"]
    assert "Traceback" not in done.err

    status = program("status", "--chat")
    assert "chatstore migrate --chat goes on" in status.out
    assert "pid" not in status.out
    resumed = program.apart("migrate", "--chat", "--json")
    assert (resumed.status, resumed.json["chat"]["resumed"]) == (0, True)
    assert rows(own, "select count(*) from public.sessions") == [(6000,)]


def test_a_watch_repairs_what_other_programs_write_and_tells_of_each_round(program, own, client):
    client.hset("chatstore:{chat}:migration", "journal_open", "1")
    process = program.started("repair", "--chat", "--watch", "--enable-notifications", "--json")
    assert process.stderr.readline() == "repairs until Ctrl-C\n"
    assert process.stderr.readline() == "notices what other programs write to Redis\n"
    client.hset("session:s", mapping={"userId": "u", "createdAt": 1_700_000_000_000})
    told = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    done = ended(process)
    assert (done.status, done.out, done.err) == (0, "", "stopped\n")
    assert (told["kind"], told["merged"], told["marks"], told["oldest_mark_seconds"]) == ("chat", 1, 0, None)
    assert told["rate"] > 0
    assert rows(own, "select id from public.sessions where id = 's'") == [("s",)]


def test_a_watch_waits_for_a_server_that_is_away_when_it_starts(program, own, own_stack):
    own_stack.redis.kill()
    process = program.started("repair", "--chat", "--watch")
    assert process.stderr.readline() == "repairs until Ctrl-C\n"
    assert process.stderr.readline().startswith("waits: ")
    own_stack.redis.start()
    process.stderr.readline()  # whether it notices other programs' writes
    process.send_signal(signal.SIGINT)
    done = ended(process)
    assert (done.status, done.err) == (0, "stopped\n")


def test_a_project_without_the_schema_is_told_which_command_applies_it(program, new_data_folder):
    bare = LocalStack(new_data_folder())
    bare.start("select 1;")
    try:
        program.set(**bare.settings.environment())
        done = program("migrate", "--chat")
        assert done.status == 2
        assert "chatstore schema --apply" in done.err
        applied = program("schema", "--apply", "--json")
        assert (applied.status, applied.json["applied"]) == (0, True)
        assert rows(bare.settings, "select count(*) from public.messages") == [(0,)]
    finally:
        bare.stop()


def test_a_table_of_the_apps_own_in_the_way_is_refused_and_left_alone(program, own):
    with psycopg.connect(own.supabase_db_url) as connection:
        connection.execute("drop table public.messages cascade; create table public.messages (mine int)")
    done = program("schema", "--apply")
    assert done.status == 2
    assert "nothing was changed" in done.err
    assert rows(own, "select * from public.messages") == []


def until_copied(own, count):
    deadline = time.monotonic() + 60
    while rows(own, "select count(*) from public.sessions")[0][0] < count:
        assert time.monotonic() < deadline, "nothing was copied"
        time.sleep(0.02)


def until_told(program, what):
    deadline = time.monotonic() + 60
    while what not in (out := program("status", "--chat").out):
        assert time.monotonic() < deadline, out
        time.sleep(0.05)
    return next(line for line in out.splitlines() if what in line)

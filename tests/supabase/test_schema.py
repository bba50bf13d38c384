"""The schema can be applied again and again, and leaves nothing open."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from chatstore.errors import ConfigurationError, SchemaError, UnavailableError
from chatstore.supabase import SCHEMA_VERSION, apply_schema, schema_sql
from chatstore.supabase import schema as module
from chatstore.supabase.schema import schema_files

ROOT = Path(__file__).parents[2]


@pytest.fixture
def database(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def test_applying_it_twice_is_harmless(database_url, database):
    database.execute("insert into public.sessions (id, user_id) values ('kept', 'u') on conflict do nothing")
    apply_schema(database_url)
    apply_schema(database_url)
    assert database.execute("select user_id from public.sessions where id = 'kept'").fetchone() == ("u",)
    database.execute("delete from public.sessions where id = 'kept'")


async def test_the_database_tells_the_version_that_this_release_needs(client):
    assert await client.schema_version() == SCHEMA_VERSION


@pytest.fixture
def before(database_url, database):
    """The URL of a database with the schema of the version before, as that release's `schema --apply` made it."""
    database.execute("create database before")
    url = database_url.rpartition("/")[0] + "/before"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "create schema auth; create function auth.jwt() returns jsonb language sql stable return '{}'::jsonb"
        )
        connection.execute((Path(__file__).parent / "schema_2.sql").read_bytes())
    yield url
    database.execute("drop database before with (force)")


HANDOVER_OF_VERSION_2 = json.dumps(
    {
        "sessions": [
            {
                "id": "s", "user_id": "u", "title": "t", "metadata": {}, "created_at": "2026-11-24T00:00:00+00:00",
                "updated_at": "2026-11-24T00:00:00+00:00", "expires_at": None, "version": 4, "born": 4, "extra": {},
                "deleted": 0, "cleared": 0, "last": 6,
            },
        ],
        "messages": [
            {
                "session_id": "s", "id": "m", "user_id": "u", "position": 0, "role": "user", "content": "hello",
                "metadata": {}, "created_at": "2026-11-24T00:00:00+00:00", "expires_at": None, "version": 6, "extra": {},
            },
        ],
        "tombstones": [],
    }
)  # fmt: skip


def test_the_schema_is_applied_over_the_version_before(before):
    with psycopg.connect(before, autocommit=True) as database:
        database.execute("select public.chatstore_put(%s)", (HANDOVER_OF_VERSION_2,))
        apply_schema(before)
        assert database.execute("select public.chatstore_version()").fetchone() == (SCHEMA_VERSION,)
        assert database.execute("select public.chatstore_session_ids('{\"limit\": 2}')").fetchone() == ('["s"]',)
        assert database.execute("select content from public.messages").fetchall() == [("hello",)]
        assert database.execute("select count(*) from chatstore.copied").fetchone() == (0,)


def test_a_process_of_the_version_before_is_told_that_its_functions_are_gone_and_writes_nothing(before):
    with psycopg.connect(before, autocommit=True) as database:
        apply_schema(before)
        for function in ("chatstore_put", "chatstore_states", "chatstore_put_columns"):
            with pytest.raises(psycopg.errors.UndefinedFunction):
                database.execute(f"select public.{function}(%s)", (HANDOVER_OF_VERSION_2,))
        assert database.execute("select count(*) from public.sessions").fetchone() == (0,)


@pytest.mark.parametrize("function", ["chatstore_put", "chatstore_put_columns"])
async def test_the_api_tells_it_as_a_matter_of_the_schema_so_that_its_marks_stay(client, function):
    with pytest.raises(SchemaError):
        await client.ask(function, HANDOVER_OF_VERSION_2)


def test_a_project_that_has_other_tables_of_these_names_is_left_as_it_is(database_url, database):
    database.execute("create database taken")
    try:
        url = database_url.rpartition("/")[0] + "/taken"
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("create table public.sessions (number integer)")
            with pytest.raises(SchemaError, match="nothing was changed"):
                apply_schema(url)
            assert other.execute("select to_regnamespace('chatstore') is null").fetchone() == (True,)
    finally:
        database.execute("drop database taken with (force)")


@pytest.mark.parametrize("first", ["public.sessions", "chatstore.marks"])
def test_it_is_applied_beside_those_who_take_the_tables_in_any_order(database_url, first):
    with (
        psycopg.connect(database_url) as app,
        psycopg.connect(database_url, autocommit=True) as watcher,
        ThreadPoolExecutor() as threads,
    ):
        app.execute(f"select count(*) from {first}")
        applied = threads.submit(apply_schema, database_url)
        while not watcher.execute(
            "select pid from pg_stat_activity where %s = any (pg_blocking_pids(pid))", (app.info.backend_pid,)
        ).fetchone():
            time.sleep(0.01)
        app.execute("select count(*) from chatstore.session_states")  # It waits for us, and we for it.
        app.commit()
        applied.result()


def test_who_holds_the_tables_for_long_is_told_from_a_database_that_is_away(database_url, monkeypatch):
    monkeypatch.setattr(module, "_ATTEMPTS", 1)
    with psycopg.connect(database_url) as app:
        app.execute("select count(*) from public.messages")
        with pytest.raises(UnavailableError, match="look for long transactions"):
            apply_schema(database_url)


def test_a_database_that_is_not_there_is_told_from_an_url_that_is_none():
    with pytest.raises(UnavailableError):
        apply_schema("postgresql://postgres:hunter2@127.0.0.1:1/postgres")
    with pytest.raises(ConfigurationError) as error:
        apply_schema("hunter2 is no url")
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("copy", ["scripts/supabase-init.sql", "supabase/migrations/20261123000000_chatstore.sql"])
def test_the_copies_for_the_sql_editor_and_the_supabase_cli_are_the_packages_own(copy):
    text = (ROOT / copy).read_text(encoding="utf-8")
    assert text.rstrip() == schema_sql().rstrip(), f"run: chatstore schema > {copy}"


def test_each_part_begins_with_what_it_is_for():
    for name, sql in schema_files().items():
        assert sql.startswith("-- "), name

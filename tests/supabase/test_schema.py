"""The schema can be applied again and again, and leaves nothing open."""

from pathlib import Path

import psycopg
import pytest

from chatstore.errors import ConfigurationError, SchemaError, UnavailableError
from chatstore.supabase import SCHEMA_VERSION, apply_schema, schema_sql
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


def test_every_table_has_row_level_security(database):
    tables = database.execute(
        "select relnamespace::regnamespace::text || '.' || relname, relrowsecurity from pg_class where relkind = 'r'"
        " and (relnamespace = 'chatstore'::regnamespace or oid in ('public.sessions'::regclass, 'public.messages'::regclass))"
    ).fetchall()
    assert len(tables) == 7
    assert all(secured for _, secured in tables)


def test_no_function_has_more_rights_than_its_caller_or_is_open_to_anybody(database):
    functions = database.execute(
        "select oid::regprocedure::text, prosecdef, proconfig, has_function_privilege('anon', oid, 'execute')"
        " from pg_proc where pronamespace = 'chatstore'::regnamespace"
        " or (pronamespace = 'public'::regnamespace and proname like 'chatstore%')"
    ).fetchall()
    assert len(functions) > 20
    for name, is_definer, settings, is_open in functions:
        assert not is_definer, name
        assert settings[0] == 'search_path=""', name
        assert all(setting.startswith("enable_") for setting in settings[1:]), name
        assert not is_open, name


def test_users_may_call_what_an_app_needs_and_nothing_else(database):
    allowed = database.execute(
        "select proname from pg_proc where pronamespace = 'public'::regnamespace and proname like 'chatstore%'"
        " and has_function_privilege('authenticated', oid, 'execute') order by proname"
    ).fetchall()
    assert [name for (name,) in allowed] == [
        "chatstore_count_messages",
        "chatstore_last_messages",
        "chatstore_messages",
        "chatstore_session",
        "chatstore_sessions",
        "chatstore_version",
        "chatstore_write",
    ]


def test_the_schema_is_applied_over_the_version_before(database_url, database):
    database.execute("create database before")
    try:
        url = database_url.rpartition("/")[0] + "/before"
        with psycopg.connect(url, autocommit=True) as before:
            before.execute(
                "create schema auth; create function auth.jwt() returns jsonb language sql stable return '{}'::jsonb"
            )
            apply_schema(url)
            before.execute(
                "drop table chatstore.copied;"
                "drop function public.chatstore_proved, public.chatstore_is_locked, public.chatstore_session_ids;"
                "create or replace function public.chatstore_version() returns integer language sql return 2;"
                "insert into public.sessions (id, user_id) values ('s', 'u')"
            )
            apply_schema(url)
            assert before.execute("select public.chatstore_version()").fetchone() == (SCHEMA_VERSION,)
            assert before.execute("select public.chatstore_session_ids('{\"limit\": 2}')").fetchone() == ('["s"]',)
            assert before.execute("select count(*) from chatstore.copied").fetchone() == (0,)
    finally:
        database.execute("drop database before with (force)")


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


def test_a_database_that_is_not_there_is_told_from_an_url_that_is_none():
    with pytest.raises(UnavailableError):
        apply_schema("postgresql://postgres:hunter2@127.0.0.1:1/postgres")
    with pytest.raises(ConfigurationError) as error:
        apply_schema("hunter2 is no url")
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("copy", ["scripts/supabase-init.sql", "supabase/migrations/20261123000000_chatstore.sql"])
def test_the_copies_for_the_sql_editor_and_the_supabase_cli_are_the_packages_own(copy):
    assert (ROOT / copy).read_text(encoding="utf-8") == schema_sql(), f"run: chatstore schema > {copy}"


def test_each_part_begins_with_what_it_is_for():
    for name, sql in schema_files().items():
        assert sql.startswith("-- "), name

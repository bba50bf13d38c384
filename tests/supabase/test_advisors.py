"""Supabase's own advisors find nothing in the schema; and they would, if there were something to find."""

import psycopg
import pytest

from tests.advisors import findings
from tests.supabase.projects import new_project

# What each index is for. The advisors name an index that nothing has used yet: so these must use every one.
USES = """
set enable_seqscan = off;
set enable_sort = off;
select public.chatstore_sessions('{"user_id": "u", "limit": 10}');
select public.chatstore_write('{"op": "create", "session_id": "s", "user_id": "u", "title": "", "metadata": {}, "extra": {}, "at": "2026-11-24T00:00:00Z"}');
select public.chatstore_messages('{"user_id": "u", "session_id": "s", "limit": 10}');
select public.chatstore_sweep('{"limit": 10}');
select public.chatstore_marks('{"limit": 10}');
set enable_sort = on;
select public.chatstore_marks_of('{"user_id": "u", "keys": ["s"]}');
select from public.messages where user_id = 'u';
"""


def a_table(name, condition):
    return (
        f"create table public.{name} (id text primary key, user_id text);"
        f"alter table public.{name} enable row level security;"
        f"create policy those on public.{name} to authenticated using ({condition})"
    )


# A mistake each, and what must be said of it: the rule, and what it is about.
MISTAKES = {
    "row-level security that is switched off": (
        "alter table public.messages disable row level security",
        "rls_disabled_in_public",
        "public.messages",
    ),
    "policies that are not in force": (
        "alter table chatstore.marks disable row level security",
        "policy_exists_rls_disabled",
        "chatstore.marks",
    ),
    "a new table without row-level security": (
        "create table public.notes (id text primary key)",
        "rls_disabled_in_public",
        "public.notes",
    ),
    "a table without a policy": (
        'drop policy "For the service key only" on chatstore.copied',
        "rls_enabled_no_policy",
        "chatstore.copied",
    ),
    "a policy that lets everybody write": (
        "create policy everybody on chatstore.tombstones for update to authenticated using (true) with check (true)",
        "rls_policy_always_true",
        "chatstore.tombstones",
    ),
    "a second policy for the same": (
        "create policy shared on public.sessions for select to authenticated using (id = 'shared')",
        "multiple_permissive_policies",
        "public.sessions",
    ),
    "a policy that asks for the token at every row": (
        a_table("slow", "(auth.jwt() ->> 'sub') = user_id"),
        "auth_rls_initplan",
        "public.slow",
    ),
    "the same in the form that only looks as if it did not": (
        a_table("slower", "(select auth.jwt() ->> 'sub') = user_id"),
        "auth_rls_initplan",
        "public.slower",
    ),
    "a policy that believes what users say of themselves": (
        a_table("staff", "((select auth.jwt()) -> 'user_metadata' ->> 'admin') = 'yes'"),
        "rls_references_user_metadata",
        "public.staff",
    ),
    "a view that sees all": (
        "create view public.overview as select * from public.sessions",
        "security_definer_view",
        "public.overview",
    ),
    "a copy that sees all": (
        "create materialized view public.snapshot as select * from public.messages",
        "materialized_view_in_api",
        "public.snapshot",
    ),
    "a function that finds what its caller puts in its way": (
        "create function chatstore.loose() returns integer language sql return 1",
        "function_search_path_mutable",
        "chatstore.loose",
    ),
    "a foreign key without an index": (
        "create table chatstore.links (id text primary key, session_id text references public.sessions (id))",
        "unindexed_foreign_keys",
        "chatstore.links",
    ),
    "a table without a primary key": (
        "create table chatstore.heap (number integer)",
        "no_primary_key",
        "chatstore.heap",
    ),
    "an index that there is twice": (
        "create index again on public.messages (session_id, position, id)",
        "duplicate_index",
        "public.messages",
    ),
    "an index that nothing uses": (
        "create index useless on public.messages (role)",
        "unused_index",
        "public.messages",
    ),
    "a secret that the API gives away": (
        "create table public.accounts (id text primary key, password text)",
        "sensitive_columns_exposed",
        "public.accounts",
    ),
    "an extension among the tables": (
        "create extension citext schema public",
        "extension_in_public",
        "public.citext",
    ),
}


@pytest.fixture(scope="module")
def found(database_url):
    """What is found in a database with all of the mistakes at once; each is about something else."""
    with new_project(database_url) as url:
        with psycopg.connect(url) as database:
            for sql, _, _ in MISTAKES.values():
                database.execute(sql.encode())
        yield findings(url)


@pytest.mark.timeout(600)  # the program may have to be installed first
def test_they_find_nothing_in_the_schema(project):
    with psycopg.connect(project) as database:
        database.execute(USES.encode())
        database.rollback()
    assert findings(project) == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_they_find_what_is_wrong(found, mistake):
    _, lint, about = MISTAKES[mistake]
    assert [each for each in found if each.lint == lint and each.about == about], found

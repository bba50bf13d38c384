"""What the catalog says of the schema: who is granted what, how policies ask, what they are helped by, how functions run."""

from pathlib import Path

import psycopg
import pytest

from chatstore.supabase import apply_schema
from tests.supabase.access import CHANGED_BY_USERS, FUNCTION_CELLS, OPERATIONS, READ_BY_USERS, TABLE_CELLS
from tests.supabase.projects import new_project

# Functions that run with the rights of their owner, and why they must.
AS_THEIR_OWNER: dict[str, str] = {}

# Tables in which a policy asks whose a row is, but nobody reads otherwise than by the primary key.
READ_BY_KEY_ONLY = {"chatstore.session_states": "users reach it inside of functions only, which name a session"}

NAME = "n.nspname || '.' || c.relname"
OURS = "n.nspname in ('public', 'chatstore')"


@pytest.fixture
def database(project):
    with psycopg.connect(project) as connection:
        connection.execute("set local search_path = ''")
        yield connection
        connection.rollback()


def without_row_level_security(database):
    return database.execute(
        f"select {NAME} from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        f" where {OURS} and c.relkind in ('r', 'p') and not c.relrowsecurity"
    )


def past_row_level_security(database):
    """What reads tables with the rights of its owner: a view, a copy, a foreign table."""
    return database.execute(
        f"select {NAME} from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        f" where {OURS} and c.relkind in ('v', 'm', 'f')"
    )


def policies_for_others_than_users(database):
    return database.execute(
        "select format('%s.%s', schemaname, tablename) from pg_policies"
        " where schemaname in ('public', 'chatstore') and (roles <> '{authenticated}' or permissive <> 'PERMISSIVE')"
    )


def policies_that_check_no_new_row(database):
    return database.execute(
        "select format('%s.%s', schemaname, tablename) from pg_policies"
        " where schemaname in ('public', 'chatstore') and cmd in ('ALL', 'INSERT', 'UPDATE') and with_check is null"
    )


def policies_that_ask_at_every_row(database):
    """A function that stands in a `(select …)` of its own is called once; anywhere else, once for each row."""
    return database.execute(
        "select format('%s.%s', schemaname, tablename) from pg_policies,"
        " lateral (select coalesce(qual, '') || ' ' || coalesce(with_check, '') as condition) said"
        " where schemaname in ('public', 'chatstore')"
        r" and regexp_replace(condition, '\( SELECT auth\.jwt\(\) AS jwt\)', '', 'g') ~ '\w\('"
    )


def foreign_keys_without_an_index(database):
    return database.execute(
        f"select {NAME} from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace"
        f" where {OURS} and k.contype = 'f' and not exists (select from pg_index i where i.indrelid = k.conrelid"
        " and i.indisvalid and i.indpred is null"
        " and (string_to_array(i.indkey::text, ' ')::smallint[])[1:cardinality(k.conkey)] = k.conkey)"
    )


def policies_without_an_index(database):
    """Tables that users read, and whose policy asks for a `user_id` that no index begins with."""
    found = database.execute(
        f"select distinct {NAME} from pg_policies p join pg_namespace n on n.nspname = p.schemaname"
        " join pg_class c on c.relnamespace = n.oid and c.relname = p.tablename"
        " join pg_attribute a on a.attrelid = c.oid and a.attname = 'user_id'"
        f" where {OURS} and p.qual ~ 'user_id' and not exists (select from pg_index i where i.indrelid = c.oid"
        " and i.indisvalid and i.indpred is null and i.indkey[0] = a.attnum)"
    )
    return [(name,) for (name,) in found if name not in READ_BY_KEY_ONLY]


def functions_that_look_elsewhere(database):
    """Functions without a fixed path of names; what else they set may only be how they are planned."""
    return database.execute(
        "select n.nspname || '.' || p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
        f" where {OURS} and (p.proconfig is null or not 'search_path=\"\"' = any (p.proconfig)"
        r" or exists (select from unnest(p.proconfig) s where s !~ '^(search_path|plan_cache_mode|enable_\w+)='))"
    )


def functions_with_the_rights_of_their_owner(database):
    found = database.execute(
        f"select n.nspname || '.' || p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace where {OURS} and p.prosecdef"
    )
    return [(name,) for (name,) in found if name not in AS_THEIR_OWNER]


CHECKS = (
    without_row_level_security,
    past_row_level_security,
    policies_for_others_than_users,
    policies_that_check_no_new_row,
    policies_that_ask_at_every_row,
    foreign_keys_without_an_index,
    policies_without_an_index,
    functions_that_look_elsewhere,
    functions_with_the_rights_of_their_owner,
)


def faults(database):
    return {(check.__name__, name) for check in CHECKS for (name,) in check(database)}


def test_the_schema_has_no_fault(database):
    assert faults(database) == set()


OWN = "((select auth.jwt()) ->> 'sub') = user_id"


@pytest.mark.parametrize(
    ("sql", "check", "name"),
    [
        ("alter table public.messages disable row level security", without_row_level_security, "public.messages"),
        ("create table chatstore.notes (id text primary key)", without_row_level_security, "chatstore.notes"),
        ("create view public.all_of_it as select 1", past_row_level_security, "public.all_of_it"),
        ("create policy p on public.sessions for select to anon using (true)", policies_for_others_than_users, "public.sessions"),
        ("create policy p on public.sessions for select using (true)", policies_for_others_than_users, "public.sessions"),
        (f"create policy p on public.messages for update to authenticated using ({OWN})", policies_that_check_no_new_row, "public.messages"),
        (f"create policy p on public.messages to authenticated using ({OWN})", policies_that_check_no_new_row, "public.messages"),
        (
            "create policy p on public.messages for select to authenticated using ((auth.jwt() ->> 'sub') = user_id)",
            policies_that_ask_at_every_row, "public.messages",
        ),
        (
            "create policy p on public.messages for select to authenticated using ((select auth.jwt() ->> 'sub') = user_id)",
            policies_that_ask_at_every_row, "public.messages",
        ),
        ("drop index public.messages_by_user", policies_without_an_index, "public.messages"),
        ("drop index public.sessions_by_recency", policies_without_an_index, "public.sessions"),
        (
            "alter table chatstore.marks add column of text references chatstore.session_states (session_id)",
            foreign_keys_without_an_index, "chatstore.marks",
        ),
        ("alter function public.chatstore_write(text) reset search_path", functions_that_look_elsewhere, "public.chatstore_write"),
        ("alter function chatstore.add_marks(jsonb) set search_path = public", functions_that_look_elsewhere, "chatstore.add_marks"),
        ("alter function chatstore.add_marks(jsonb) set row_security = off", functions_that_look_elsewhere, "chatstore.add_marks"),
        (
            "alter function public.chatstore_count(text) security definer",
            functions_with_the_rights_of_their_owner, "public.chatstore_count",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_found(database, sql, check, name):
    database.execute(sql)
    assert (check.__name__, name) in faults(database)


def granted(database):
    """Each right that somebody else than its owner has: what, to whom, and on what."""
    database.execute("set local search_path = ''")
    return set(
        database.execute(
            f"""
            with ours as (
              select {NAME} as name, c.relowner as owner, c.relacl as rights
              from pg_class c join pg_namespace n on n.oid = c.relnamespace where {OURS} and c.relkind <> 'i'
              union all
              select {NAME} || '.' || a.attname, c.relowner, a.attacl
              from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
              where {OURS} and a.attacl is not null
              union all
              select n.nspname || '.' || p.proname, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
              from pg_proc p join pg_namespace n on n.oid = p.pronamespace where {OURS}
              union all
              select n.nspname, n.nspowner, n.nspacl from pg_namespace n where n.nspname = 'chatstore'
            )
            select
              case when r.grantee = 0 then 'everybody' else r.grantee::regrole::text end,
              lower(r.privilege_type) || case when r.is_grantable then ', and may grant it' else '' end,
              ours.name
            from ours, aclexplode(ours.rights) r
            where r.grantee <> ours.owner
            """
        ).fetchall()
    )


def wanted():
    """The rights that the cells come to."""
    rights = {(role, "usage", "chatstore") for role in ("authenticated", "service_role")}
    for (table, operation, who), cell in TABLE_CELLS.items():
        if cell == "yes" and who == "service":
            rights.add(("service_role", operation, table))
        elif cell == "yes" and who == "owner" and operation != "update":
            rights.add(("authenticated", operation, table))
    for operation, columns in (("update", CHANGED_BY_USERS), ("select", READ_BY_USERS)):
        rights |= {
            ("authenticated", operation, f"{table}.{name}") for table, names in columns.items() for name in names
        }
    for (function, who), cell in FUNCTION_CELLS.items():
        if cell == "yes":
            role = {"nobody": "anon", "owner": "authenticated", "service": "service_role"}[who]
            rights.add((role, "execute", function.partition("(")[0]))
    return rights


def test_nothing_is_granted_but_what_the_cells_come_to(database):
    found, expected = granted(database), wanted()
    assert (found - expected, expected - found) == (set(), set())


@pytest.mark.parametrize(
    ("sql", "right"),
    [
        ("grant truncate on public.sessions to anon", ("anon", "truncate", "public.sessions")),
        ("grant update (user_id) on public.messages to authenticated", ("authenticated", "update", "public.messages.user_id")),
        ("grant select on public.messages to public", ("everybody", "select", "public.messages")),
        ("grant usage on schema chatstore to anon", ("anon", "usage", "chatstore")),
        (
            "create function public.chatstore_new(text) returns text language sql return ''",
            ("everybody", "execute", "public.chatstore_new"),
        ),
        (
            "grant select on public.sessions to authenticated with grant option",
            ("authenticated", "select, and may grant it", "public.sessions"),
        ),
    ],
)  # fmt: skip
def test_a_right_too_much_is_found(database, sql, right):
    database.execute(sql)
    assert right in granted(database) - wanted()


def test_an_older_schema_that_is_brought_up_to_date_has_no_fault_and_grants_the_same(database_url):
    with new_project(database_url, (Path(__file__).parent / "schema_2.sql").read_bytes()) as url:
        with psycopg.connect(url) as older:
            assert faults(older)
            assert granted(older) - wanted()
        apply_schema(url)
        with psycopg.connect(url) as database:
            assert faults(database) == set()
            assert granted(database) == wanted()


def in_words(table):
    """What users may do with a table, as the page for readers says it."""
    whole = [each for each in ("select", "insert", "delete") if TABLE_CELLS[table, each, "owner"] == "yes"]
    said = [f"{', '.join(whole[:-1])}{' and ' if whole[1:] else ''}{whole[-1]} own"] if whole else []
    if table in CHANGED_BY_USERS:
        said.append(f"change {', '.join(f'`{name}`' for name in sorted(CHANGED_BY_USERS[table]))} of own")
    if table in READ_BY_USERS:
        said.append(f"read {', '.join(f'`{name}`' for name in sorted(READ_BY_USERS[table]))}")
    return "; ".join(said) or "nothing"


def test_the_page_for_readers_says_what_the_cells_say():
    page = (Path(__file__).parents[2] / "docs" / "access.md").read_text(encoding="utf-8")
    tables = dict.fromkeys(table for table, _, _ in TABLE_CELLS)
    assert [line for line in page.splitlines() if line.startswith("| `")] == [
        f"| `{table}` | nothing | {in_words(table)} | all |" for table in tables
    ]
    for who, cell in (("nobody", "no"), ("service", "yes")):
        assert {TABLE_CELLS[table, operation, who] for table in tables for operation in OPERATIONS} == {cell}
    for (function, who), cell in FUNCTION_CELLS.items():
        name = function.partition("(")[0].removeprefix("public.")
        if who == "owner" and not name.startswith("chatstore."):
            assert (f"`{name}`" in page) == (cell == "yes"), name

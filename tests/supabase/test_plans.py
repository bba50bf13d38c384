"""What a user reads of a million messages is found by its index: held by the plans of Postgres, and not by a clock.

The plans are those that really ran, inside of functions too, with the rights of a user, under row-level security. To make a
million rows takes longer than a test may. So there is a part of them, drawn like the whole, and Postgres is told that there
are as many rows as the whole has, on the pages that are there: to read all of a table then looks cheaper to it than it would
be, and what is read by an index looks as dear as it is. With `CHATSTORE_MESSAGES=1000000` there are all of them, and nothing
is told.
"""

import json
import os
from dataclasses import dataclass

import psycopg
import pytest

pytestmark = pytest.mark.timeout(600)  # for all of them

WHOLE = 1_000_000
MESSAGES = int(os.environ.get("CHATSTORE_MESSAGES", "20000"))
IN_A_SESSION = 50
OF_A_USER = 20  # sessions
USER = "user-7"
LONG = "long"  # a session of that user, of so many messages:
IN_THE_LONG_ONE = 2000
OWN_MESSAGES = OF_A_USER * IN_A_SESSION + IN_THE_LONG_ONE
TABLES = {"sessions", "messages", "session_states", "tombstones"}

ROWS = f"""
insert into public.sessions (id, user_id, title, updated_at)
select format('session-%s-%s', u, s), 'user-' || u, 'An order', timestamptz '2026-11-24' + (u + s * 1000) * interval '1 minute'
from generate_series(1, {OF_A_USER}) s, generate_series(1, {MESSAGES // IN_A_SESSION // OF_A_USER}) u;
insert into public.sessions (id, user_id) values ('{LONG}', '{USER}');
insert into chatstore.session_states (session_id, user_id, last) select id, user_id, version from public.sessions;
insert into public.messages (session_id, id, user_id, position, role, content, created_at)
select s.id, 'm' || n, s.user_id, n, 'user', 'Where is my order?', s.updated_at
from public.sessions s, generate_series(1, case s.id when '{LONG}' then {IN_THE_LONG_ONE} else {IN_A_SESSION} end) n;
"""

# How many of each there are among all, which a part does not show.
TOLD = f"""
alter table public.messages
  alter session_id set (n_distinct = {-1 / IN_A_SESSION}), alter user_id set (n_distinct = {-1 / IN_A_SESSION / OF_A_USER});
alter table public.sessions alter user_id set (n_distinct = {-1 / OF_A_USER});
analyze public.sessions, public.messages, chatstore.session_states;
update pg_class c set reltuples = c.reltuples * {WHOLE} / {MESSAGES}
where c.oid in (
  select unnest(array[i.indexrelid, i.indrelid]) from pg_index i
  where i.indrelid in ('public.sessions'::regclass, 'public.messages'::regclass, 'chatstore.session_states'::regclass)
);
"""


@dataclass(frozen=True)
class Scan:
    """How rows of a table were found, and how many were looked at for it."""

    table: str
    node: str
    index: str
    rows: int


@dataclass(frozen=True)
class Plans:
    scans: tuple[Scan, ...]
    most_sorted: int

    @classmethod
    def of(cls, roots):
        every = [node for root in roots for node in nodes(root)]
        sorts = [node["Plans"][0]["Actual Rows"] for node in every if "Sort" in node["Node Type"]]
        return cls(
            tuple(scan(node) for node in every if node.get("Relation Name") in TABLES and is_scan(node)),
            max(sorts, default=0),
        )


def nodes(plan):
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def is_scan(node):
    return node["Node Type"].endswith("Scan")


def scan(node):
    # A bitmap's scan of the table stands above those of its indexes.
    index = node.get("Index Name") or "+".join(each["Index Name"] for each in nodes(node) if "Index Name" in each)
    rows = node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
    return Scan(node["Relation Name"], node["Node Type"], index, round(rows))


def prepared(connection):
    """Have Postgres tell the plans of all that it runs."""
    connection.execute("load 'auto_explain'")
    for name, value in {
        "log_min_duration": "0", "log_nested_statements": "on", "log_format": "json", "log_level": "notice",
        "log_analyze": "on", "log_timing": "off",
    }.items():  # fmt: skip
        connection.execute(f"set auto_explain.{name} = {value}")


def plans_of(connection, statement):
    """Run a statement as the user, undo it, and return what its plans were."""
    heard = []

    def listen(notice):
        _, found, plan = notice.message_primary.partition("plan:\n")
        if found:
            heard.append(json.loads(plan)["Plan"])

    with connection.transaction(force_rollback=True):
        claims = json.dumps({"role": "authenticated", "sub": USER})
        connection.execute(f"select set_config('request.jwt.claims', '{claims}', true)")
        connection.execute("set local role authenticated")
        connection.add_notice_handler(listen)
        try:
            connection.execute(statement)
        finally:
            connection.remove_notice_handler(listen)
    assert heard
    return Plans.of(heard)


@pytest.fixture(scope="module")
def filled(project):
    """A connection to a database with a million messages, as far as Postgres can tell; all is undone at the end."""
    # A plan is told when a statement has ended: one that is sent with its parameters in it ends at once.
    with psycopg.connect(project, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute("set local session_replication_role = replica")  # no foreign key is asked row by row
        connection.execute(ROWS)
        connection.execute("set local session_replication_role = origin")
        connection.execute(TOLD)
        prepared(connection)
        yield connection
        connection.rollback()


def call(function, **request):
    return f"select public.chatstore_{function}('{json.dumps({'user_id': USER, 'session_id': LONG, **request})}')"


def write(op, **command):
    return call("write", op=op, at="2026-11-25T00:00:00Z", **command)


def a_message(name):
    return {
        "id": name,
        "role": "user",
        "content": "",
        "metadata": {},
        "extra": {},
        "created_at": "2026-11-25T00:00:00Z",
    }


# What an app calls; by which index it finds sessions and messages, and how many rows it looks at in all.
CALLS = {
    "a session": (call("session"), {"sessions_pkey"}, 1),
    "the last messages": (call("last_messages", limit=50), {"sessions_pkey", "messages_in_order"}, 52),
    "the last messages before one": (
        call("last_messages", limit=50, before=1000, before_id="m1000"), {"sessions_pkey", "messages_in_order"}, 52
    ),
    "the first messages": (call("messages", limit=50), {"sessions_pkey", "messages_in_order"}, 52),
    "messages after one": (
        call("messages", limit=50, after=1000, after_id="m1000"), {"sessions_pkey", "messages_in_order"}, 52
    ),
    "how many messages": (call("count_messages"), {"sessions_pkey", "messages_in_order"}, IN_THE_LONG_ONE + 1),
    "the latest sessions": (call("sessions", limit=10), {"sessions_by_recency"}, 10),
    "sessions before one": (
        call("sessions", limit=10, before="2026-12-05T00:00:00Z", before_id="x"), {"sessions_by_recency"}, 10
    ),
    "creating a session": (
        write("create", session_id="new", title="", metadata={}, extra={}),
        {"sessions_pkey", "session_states_pkey", "messages_pkey", "messages_in_order"}, 10,
    ),
    "updating a session": (write("update", title="new"), {"sessions_pkey", "session_states_pkey"}, 10),
    "appending": (
        write("append", messages=[a_message("new"), a_message("newer")]),
        {"sessions_pkey", "session_states_pkey", "messages_in_order", "messages_pkey", "messages_by_expiry", "tombstones_pkey"}, 20,
    ),
    "editing": (
        write("edit", message_id="m1000", content="new"), {"sessions_pkey", "session_states_pkey", "messages_pkey"}, 10
    ),
    "popping": (
        write("pop"), {"sessions_pkey", "session_states_pkey", "messages_in_order", "messages_pkey"}, 10
    ),
    "deleting messages": (
        write("delete_messages", message_ids=["m7", "m1000"]),
        {"sessions_pkey", "session_states_pkey", "messages_in_order", "messages_pkey"}, 20,
    ),
    "clearing": (
        write("clear"), {"sessions_pkey", "session_states_pkey", "messages_in_order", "messages_pkey"}, IN_THE_LONG_ONE + 10
    ),
    "deleting a session": (
        write("delete"), {"sessions_pkey", "session_states_pkey", "tombstones_pkey", "messages_in_order", "messages_pkey"},
        IN_THE_LONG_ONE + 10,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_what_an_app_calls_looks_at_the_rows_that_it_wants_and_no_other(filled, name):
    statement, indexes, rows = CALLS[name]
    found = plans_of(filled, statement)
    assert {each.node for each in found.scans} <= {"Index Scan", "Index Only Scan"}, found
    assert {each.index for each in found.scans} <= indexes, found
    assert sum(each.rows for each in found.scans) <= rows, found
    assert found.most_sorted <= 51


# What a user may ask the tables for themselves, past all functions: at most all that is theirs is looked at.
READS = {
    "the last messages of a session": f"select * from public.messages where session_id = '{LONG}' order by position desc, id desc limit 50",
    "a message": f"select * from public.messages where session_id = '{LONG}' and id = 'm7'",
    "the last messages of all": "select * from public.messages order by created_at desc limit 50",
    "how many messages": "select count(*) from public.messages",
    "the latest sessions": "select * from public.sessions order by updated_at desc, id desc limit 10",
    "all sessions": "select * from public.sessions",
    "sessions with their messages": (
        "select s.title, m.content from public.sessions s join public.messages m on m.session_id = s.id"
        " order by s.updated_at desc, m.position limit 50"
    ),
    "a change of all": "update public.messages set metadata = '{}' where role = 'nobody'",
}  # fmt: skip
BY_AN_INDEX = {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}


@pytest.mark.parametrize("name", READS)
def test_what_a_user_asks_of_the_tables_looks_at_own_rows_only(filled, name):
    found = plans_of(filled, READS[name])
    assert found.scans
    assert {each.node for each in found.scans} <= BY_AN_INDEX, found
    assert sum(each.rows for each in found.scans) <= OWN_MESSAGES + OF_A_USER + 1, found


def test_without_the_policys_index_all_would_be_read(filled):
    with filled.transaction(force_rollback=True):
        filled.execute("drop index public.messages_by_user")
        found = plans_of(filled, READS["how many messages"])
    assert {each.node for each in found.scans} == {"Seq Scan"}
    assert sum(each.rows for each in found.scans) >= MESSAGES


def test_as_postgres_would_have_it_the_whole_session_would_be_read(filled):
    with filled.transaction(force_rollback=True):
        filled.execute("alter function public.chatstore_last_messages(text) reset all")
        filled.execute("alter function public.chatstore_last_messages(text) set search_path = ''")
        found = plans_of(filled, CALLS["the last messages"][0])
    assert sum(each.rows for each in found.scans) > IN_THE_LONG_ONE

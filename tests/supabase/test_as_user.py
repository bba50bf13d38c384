"""Reading as the users finds each policy that hides too much or shows too much, and nothing where there is none.

The policies are made in the database that all tests share, so each test names its own users, and the schema is made anew
after each.
"""

import re
import textwrap
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from chatstore.errors import ConfigurationError, InvalidRecordError
from chatstore.models import AppendMessages, CreateSession, Mark, NewMessage, Side, new_id, utc_now
from chatstore.supabase import (
    ANYBODY,
    NAMELESS,
    STRANGER,
    ServiceClient,
    SupabaseChat,
    SupabaseDatabase,
    Wrong,
    apply_schema,
    verify_as_users,
)
from chatstore.supabase.as_user import old_side, own, sample, writes
from chatstore.testing import MemoryChat

OUTSIDERS = {ANYBODY, STRANGER, NAMELESS}
USERS = {"ann", "ben", STRANGER, NAMELESS}
OF_A_SESSION = [f"public.chatstore_{name}()" for name in ("session", "messages", "last_messages", "count_messages")]
ALL_FUNCTIONS = ["public.chatstore_sessions()", *OF_A_SESSION]
PAST = utc_now() - timedelta(hours=1)

POLICIES = """
select format('drop policy %I on %s', p.polname, p.polrelid::regclass)
from pg_policy p
join pg_class c on c.oid = p.polrelid
where c.relnamespace in ('public'::regnamespace, 'chatstore'::regnamespace)
"""


@pytest.fixture(scope="module")
async def service(settings):
    client = ServiceClient.connect(settings.supabase_url, settings.supabase_secret_key)
    yield client
    await client.close()


@pytest.fixture(scope="module")
async def database(database_url, service):
    made = SupabaseDatabase(database_url, service)
    yield made
    await made.close()


@pytest.fixture(scope="module")
def postgres(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def change(postgres, database_url):
    """A function that runs SQL; whatever it did to the schema is undone afterwards, whatever happens."""

    def undo():
        for (drop,) in postgres.execute(POLICIES).fetchall():
            postgres.execute(drop)
        postgres.execute("drop view if exists public.recent; drop materialized view if exists public.overview")
        postgres.execute("alter role authenticated nobypassrls")
        apply_schema(database_url)

    try:
        yield postgres.execute
    finally:
        undo()


@pytest.fixture(scope="module")
async def ann_and_ben(service):
    """Two users with two sessions each, and what there may be beside: expired and deleted ones, odd ids, empty sessions."""
    chat, name = SupabaseChat(service), new_id()
    users = {short: f"{name}|{short}\0é" for short in ("ann", "ben")}
    for user in users.values():
        for _ in range(2):
            session = await chat.create_session(user)
            messages = [NewMessage(role, "a secret", id=role) for role in ("system", "user", "assistant")]
            await chat.append(user, session.id, messages)
        await chat.append(user, session.id, NewMessage("user", "gone", expires_at=PAST))
        await chat.create_session(user, expires_at=PAST)
        await chat.delete_session(user, (await chat.create_session(user)).id)
        await chat.delete_messages(user, session.id, ["system"])
    for number in range(5):
        await chat.create_session(f"{name}|{number}")
    return users


@pytest.fixture
def look(database, ann_and_ben):
    """A function that reads as both, and returns who found what wrong where; users by their short names."""
    short = {user: name for name, user in ann_and_ben.items()}

    async def verify(**options):
        report = await verify_as_users(database, user_ids=list(short), **options)
        found = {(short.get(found.visitor, found.visitor), str(found.wrong), found.place) for found in report.findings}
        return report, found

    return verify


def each(visitors, wrong, *places):
    return {(visitor, wrong, place) for visitor in visitors for place in places}


async def test_the_schema_as_it_is_passes_and_the_report_says_what_was_looked_for(look, ann_and_ben):
    report, found = await look()
    assert found == set()
    assert (report.users_checked, report.suspects, report.unsearched) == (2, (), ())
    assert report.users >= 2
    assert report.sessions_searched == report.sessions >= 4
    told = {visit.visitor: (visit.sessions, visit.messages) for visit in report.visits}
    assert told == {
        **dict.fromkeys(ann_and_ben.values(), (2, 5)),
        **dict.fromkeys(OUTSIDERS, (0, 0)),
    }
    assert {"public.sessions", "public.messages", "chatstore.session_states", "chatstore.tombstones"} <= {
        *report.places
    }


OWNERS = {"ann", "ben"}
BAD = {
    "all sessions shown to users": (
        "create policy everyone on public.sessions for select to authenticated using (true)",
        each(USERS, "foreign", "public.sessions", *ALL_FUNCTIONS),
    ),
    "messages of one role shown, beside chatstore's own policy": (
        "create policy prompts on public.messages for select using (role = 'system')",
        each(USERS, "foreign", "public.messages"),
    ),
    "no row-level security on messages": (
        "alter table public.messages disable row level security",
        each(USERS, "foreign", "public.messages"),
    ),
    "no row-level security on a table of chatstore's own": (
        "alter table chatstore.session_states disable row level security",
        each(USERS, "foreign", "chatstore.session_states"),
    ),
    "deletions of others shown": (
        "create policy deletions on chatstore.tombstones for select to authenticated using (true)",
        each(USERS, "foreign", "chatstore.tombstones"),
    ),
    "a token that names nobody sees all": (
        "create policy nobody on public.sessions for select to authenticated using (auth.jwt() ->> 'sub' is null)",
        each({NAMELESS}, "foreign", "public.sessions", *ALL_FUNCTIONS),
    ),
    "anybody may read": (
        (
            "grant select on public.messages to anon;"
            "create policy open on public.messages for select to anon using (role = 'assistant')"
        ),
        each({ANYBODY}, "foreign", "public.messages"),
    ),
    "a view that passes row-level security": (
        (
            "create view public.recent as select user_id, session_id, content from public.messages where position < 2;"
            "grant select on public.recent to authenticated"
        ),
        each({*USERS, ANYBODY}, "foreign", "public.recent"),
    ),
    "a view whose users have another type": (
        (
            "create view public.recent as select user_id::bpchar as user_id, id as session_id from public.sessions;"
            "grant select on public.recent to authenticated; revoke all on public.recent from anon"
        ),
        each(USERS, "foreign", "public.recent"),
    ),
    "a materialized view that does not say whose a session is": (
        (
            "create materialized view public.overview as select s.id as session_id, s.title from public.sessions s;"
            "grant select on public.overview to anon, authenticated"
        ),
        each({*USERS, ANYBODY}, "foreign", "public.overview"),
    ),
    "a function that passes row-level security": (
        "alter function public.chatstore_last_messages(text) security definer",
        each(USERS, "foreign", "public.chatstore_last_messages()"),
    ),
    "users pass row-level security": (
        "alter role authenticated bypassrls",
        each(USERS, "foreign", "public.sessions", "public.messages", *ALL_FUNCTIONS)
        | each(USERS, "foreign", "chatstore.session_states", "chatstore.tombstones"),
    ),
    "messages of one role hidden": (
        "create policy no_prompts on public.messages as restrictive for select to authenticated using (role <> 'user')",
        each(OWNERS, "hidden", "public.messages"),
    ),
    "chatstore's own policy gone": (
        'drop policy "A user\'s own messages" on public.messages',
        each(OWNERS, "hidden", "public.messages"),
    ),
    "a policy that cannot read the user's id": (
        (
            "create policy uuids on public.sessions as restrictive for select"
            " using ((auth.jwt() ->> 'sub')::uuid is not null)"
        ),
        each(OWNERS, "refused", "public.sessions"),
    ),
    "a policy that asks itself": (
        "create policy itself on public.messages for select using (exists (select from public.messages))",
        each(OWNERS, "refused", "public.messages"),
    ),
    "users may not read": (
        "revoke select on public.messages from authenticated",
        each(OWNERS, "refused", "public.messages"),
    ),
    "users may not call a function": (
        "revoke execute on function public.chatstore_session(text) from authenticated",
        each(OWNERS, "refused", "public.chatstore_session()"),
    ),
    "a function that tells the wrong number, and to anybody": (
        (
            "create or replace function public.chatstore_count_messages(request text) returns text"
            " language sql stable set search_path = '' return '0'"
        ),
        each(OWNERS, "hidden", "public.chatstore_count_messages()")
        | each(USERS, "foreign", "public.chatstore_count_messages()"),
    ),
}


@pytest.mark.parametrize("name", BAD)
async def test_it_is_found(look, change, name):
    sql, expected = BAD[name]
    change(sql)
    report, found = await look()
    assert found == expected
    # Where to look is said of every place.
    assert {suspect.place for suspect in report.suspects} >= {place for _, _, place in expected}
    assert all(suspect.reasons for suspect in report.suspects)
    assert "a secret" not in repr(report)


BAD_FOR_WRITES = {
    "sessions for others may be inserted": (
        "create policy inserts on public.sessions for insert to authenticated with check (true)",
        each(USERS, "writable", "insert a session of another user"),
    ),
    "messages of others may be written, not read": (
        "create policy inserts on public.messages for insert with check (true)",
        each(USERS, "writable", "insert a message of another user")
        | each(USERS - {NAMELESS}, "writable", "insert a message into another user's session"),
    ),
    "messages of all are everybody's": (
        "create policy all_of_them on public.messages for all to authenticated using (true) with check (true)",
        each(USERS, "writable", "insert a message of another user")
        | each(USERS - {NAMELESS}, "writable", "insert a message into another user's session")
        | each(USERS, "writable", "change another user's messages", "delete another user's messages"),
    ),
    "sessions of all are everybody's, and may be given away": (
        (
            "grant update (user_id) on public.sessions to authenticated;"
            "create policy all_of_them on public.sessions for all to authenticated using (true) with check (true)"
        ),
        each(USERS, "writable", "insert a session of another user", "delete another user's sessions")
        | each(USERS, "writable", "change another user's sessions")
        | each(USERS - {NAMELESS}, "writable", "give a session to another user"),
    ),
    "anybody may delete": (
        (
            "grant select, delete on public.messages to anon;"
            "create policy open on public.messages for all to anon using (true)"
        ),
        each({ANYBODY}, "writable", "delete another user's messages"),
    ),
    "a function that passes row-level security": (
        "alter function public.chatstore_write(text) security definer",
        each(USERS, "writable", "change another user's sessions"),
    ),
    "no sessions may be created": (
        "create policy frozen on public.sessions as restrictive for insert to authenticated with check (false)",
        each(USERS - {NAMELESS}, "refused", "create"),
    ),
    "messages may not be edited": (
        "revoke update on public.messages from authenticated",
        each(USERS - {NAMELESS}, "refused", "edit"),
    ),
    "no marks may be set": (
        'drop policy "Marks of a user\'s own writes" on chatstore.marks',
        each(USERS - {NAMELESS}, "refused", "create"),
    ),
}


@pytest.fixture
def everything(postgres):
    """A function that tells all rows that there are."""
    tables = ["public.sessions", "public.messages", "chatstore.session_states", "chatstore.marks"]

    def tell():
        return [postgres.execute(f"select t::text from {table} t order by 1").fetchall() for table in tables]

    return tell


@pytest.mark.parametrize("name", BAD_FOR_WRITES)
async def test_what_may_be_written_and_must_not_or_may_not_and_must_is_found_and_undone(
    look, change, everything, ann_and_ben, name
):
    sql, expected = BAD_FOR_WRITES[name]
    change(sql)
    before = everything()
    report, _ = await look(writes=True)
    assert everything() == before
    short = {user: name for name, user in ann_and_ben.items()}
    tried = {
        (short.get(found.visitor, found.visitor), str(found.wrong), found.attempt)
        for found in report.findings
        if found.attempt
    }
    assert tried == expected
    assert all(suspect.reasons for suspect in report.suspects)


async def test_where_all_is_right_writing_finds_nothing_wrong_and_leaves_nothing(look, everything):
    before = everything()
    report, found = await look(writes=True)
    assert (found, report.unsearched) == (set(), ())
    assert everything() == before


async def test_a_record_that_an_app_is_at_is_not_waited_for_long(look, change, database_url, ann_and_ben, monkeypatch):
    monkeypatch.setattr(writes, "_WAIT", "select set_config('lock_timeout', '50ms', true)")
    change("create policy all_of_them on public.messages for all to authenticated using (true) with check (true)")
    with psycopg.connect(database_url) as app:
        app.execute("select from public.messages for update")
        report, _ = await look(writes=True)
    assert "public.messages: whether anybody may change another user's messages was not told, as an app was at it" in (
        report.unsearched
    )


async def test_a_policy_that_hides_one_session_is_found_with_its_id_and_the_policy(look, change, postgres, ann_and_ben):
    name = hidden_session(postgres, ann_and_ben["ann"])
    change(
        f"create policy \"No drafts\" on public.sessions as restrictive for select to authenticated using (id <> '{name}')"
    )
    report, _ = await look()
    [found] = report.findings
    assert (found.visitor, found.wrong, found.place) == (ann_and_ben["ann"], Wrong.HIDDEN, "public.sessions")
    assert (found.rows, found.sessions) == (1, (name,))
    [suspect] = report.suspects
    assert [reason for reason in suspect.reasons if '"No drafts" (select, to authenticated)' in reason]


def hidden_session(postgres, user):
    stored = user.replace("\0", "\ufdd00000")
    [(name,)] = postgres.execute(
        "select min(id) from public.sessions where user_id = %s and expires_at is null", [stored]
    )
    return name


async def test_messages_of_a_users_session_that_say_another_user_are_told_from_those_that_a_policy_hides(
    look, postgres, ann_and_ben
):
    name = hidden_session(postgres, ann_and_ben["ben"])
    postgres.execute("update public.messages set user_id = 'cid' where session_id = %s and id = 'user'", [name])
    try:
        report, _ = await look()
    finally:
        postgres.execute(
            "update public.messages m set user_id = s.user_id from public.sessions s"
            " where s.id = m.session_id and s.id = %s",
            [name],
        )
    [found] = report.findings
    assert (found.wrong, found.rows, found.sessions, report.suspects) == (Wrong.MISOWNED, 1, (name,), ())


async def test_a_policy_that_writes_when_it_is_read_is_let_write_nothing(look, change, postgres):
    change(
        "create table public.seen (by text);"
        "create function public.note() returns boolean language sql volatile security definer set search_path = ''"
        " as $$insert into public.seen values ('x'); select true$$;"
        "create policy noted on public.sessions as restrictive for select to authenticated using (public.note())"
    )
    try:
        report, _ = await look()
        assert postgres.execute("select count(*) from public.seen").fetchone() == (0,)
    finally:
        postgres.execute("drop function public.note cascade; drop table public.seen")
    assert {found.error for found in report.findings if found.place == "public.sessions"} == {
        "ReadOnlySqlTransaction, 25006"
    }


async def test_a_policy_that_asks_for_more_than_the_users_id_is_given_it(look, change):
    change(
        "create policy org on public.sessions as restrictive for select to authenticated"
        " using (auth.jwt() ->> 'org_id' = 'acme')"
    )
    _, without = await look()
    assert without == each(OWNERS, "hidden", "public.sessions")
    _, found = await look(claims={"org_id": "acme", "sub": "somebody else", "role": "service_role"})
    assert found == set()


async def test_a_view_that_reads_with_its_readers_rights_is_no_leak(look, change):
    change(
        "create view public.recent with (security_invoker = true) as"
        " select user_id, session_id, content from public.messages;"
        "grant select on public.recent to authenticated; revoke all on public.recent from anon"
    )
    report, found = await look()
    assert found == set()
    assert "public.recent" in report.places


async def test_a_view_that_says_nothing_of_users_or_sessions_is_told_as_not_searched(look, change):
    change(
        "create view public.recent with (security_invoker = true) as select content from public.messages;"
        "grant select on public.recent to authenticated; revoke all on public.recent from anon"
    )
    report, found = await look()
    assert found == set()
    assert report.unsearched == ("public.recent was not searched: its rows do not say whose they are",)


async def test_the_same_seed_draws_the_same_users_of_all_that_there_are(database, ann_and_ben, postgres):
    [(count,)] = postgres.execute("select count(distinct user_id) from public.sessions").fetchall()
    reports = [await verify_as_users(database, users=1, seed=seed) for seed in (7, 7)]
    assert [(report.users, report.users_checked, report.seed) for report in reports] == [(count, 1, 7)] * 2
    assert reports[0].visits[0] == reports[1].visits[0]
    assert reports[0].visits[0].sessions


async def test_users_and_sessions_are_walked_over_page_by_page(database, ann_and_ben, postgres, monkeypatch):
    [(users, sessions)] = postgres.execute("select count(distinct user_id), count(*) from public.sessions").fetchall()
    async with database.snapshot() as snapshot:
        all_at_once = await sample.drawn_users(snapshot, 5, 3)
        monkeypatch.setattr(sample, "_PAGE", 2)
        assert await sample.drawn_users(snapshot, 5, 3) == all_at_once
        assert all_at_once[1] == users
        whole = await sample.ranges(snapshot, 10**9, 3)
    assert whole.sessions == whole.sessions_chosen == sessions
    assert all(before.last == part.after for before, part in zip(whole.chosen, whole.chosen[1:], strict=False))
    assert (whole.chosen[0].after, whole.chosen[-1].last) == ("", None)


async def test_where_there_are_too_many_messages_others_are_looked_for_in_a_part_that_is_told(
    look, change, postgres, monkeypatch
):
    monkeypatch.setattr(sample, "_PAGE", 2)
    postgres.execute("vacuum analyze public.messages")
    report, found = await look(rows=1)
    assert found == set()
    assert 0 < report.sessions_searched <= 2 < report.sessions
    change("alter table public.messages disable row level security")
    _, found = await look()
    assert found == each(USERS, "foreign", "public.messages")


async def test_a_user_with_more_sessions_than_a_page_is_looked_for_whole(look, ann_and_ben, change, monkeypatch):
    monkeypatch.setattr(own, "_PAGE", 1)
    report, found = await look()
    assert found == set()
    assert [visit.sessions for visit in report.visits[:2]] == [2, 2]
    change("create policy none on public.messages as restrictive for select to authenticated using (false)")
    report, found = await look()
    assert found == each(OWNERS, "hidden", "public.messages")
    assert [(found.rows, len(found.sessions)) for found in report.findings] == [(5, 2), (5, 2)]


@pytest.fixture
async def old(service, namespace):
    """An old side with two sessions of a user, of which the new side has one; a backfill came to its end."""
    store = MemoryChat(Side.OLD)
    for name in ("here", "lost"):
        await store.write(CreateSession(user_id=namespace, session_id=f"{namespace}-{name}"))
    await SupabaseChat(service).create_session(namespace, session_id=f"{namespace}-here")
    await store.journal.remember(journal_open=True, backfilled_at=utc_now())
    return store


async def test_a_session_of_the_old_side_that_is_not_the_users_on_the_new_one_is_found(
    database, old, namespace, monkeypatch
):
    monkeypatch.setattr(old_side, "_WAIT", 0)
    report = await verify_as_users(database, user_ids=[namespace], old=old)
    [found] = report.findings
    assert (found.wrong, found.rows, found.sessions) == (Wrong.MISSING, 1, (f"{namespace}-lost",))
    assert (report.visits[0].sessions, report.visits[0].old_sessions, report.suspects) == (1, 2, ())


async def test_what_is_being_written_is_not_missing(database, old, namespace, monkeypatch):
    monkeypatch.setattr(old_side, "_WAIT", 0)
    name = f"{namespace}-lost"
    mark = Mark(key=name, user_id=namespace, side=Side.OLD, op="append")
    command = AppendMessages(user_id=namespace, session_id=name, messages=(NewMessage("user", "hello"),))
    await old.write(command, mark)
    assert (await verify_as_users(database, user_ids=[namespace], old=old)).findings == ()
    await old.journal.clear([mark])
    assert (await verify_as_users(database, user_ids=[namespace], old=old)).findings
    await old.delete_session(namespace, name)
    assert (await verify_as_users(database, user_ids=[namespace], old=old)).findings == ()


@pytest.mark.parametrize("state", [{"backfilled_at": None}, {"way_back_closed": True}])
async def test_an_old_side_that_the_new_one_need_not_be_equal_to_is_not_asked(database, old, namespace, state):
    if "way_back_closed" in state:
        await old.journal.remember(**state)
    else:
        await old.journal.forget_state()
    report = await verify_as_users(database, user_ids=[namespace], old=old)
    assert (report.findings, report.visits[0].old_sessions) == ((), None)


@pytest.fixture
async def secured(service, database_url, postgres, namespace):
    """A function that reaches the database as a role that is made so."""
    password, user = urlsplit(database_url).password, urlsplit(database_url).username
    made = SupabaseDatabase(database_url.replace(f"//{user}:", f"//{namespace}:"), service)

    def database(role):
        postgres.execute(f"create role {namespace} login password '{password}' {role}")
        postgres.execute(f"grant execute on function public.chatstore_version() to {namespace}")
        return made

    yield database
    await made.close()
    postgres.execute(f"drop owned by {namespace}; drop role {namespace}")


@pytest.mark.parametrize(
    ("role", "says"),
    [
        ("in role service_role", "row-level security holds for the role"),
        ("bypassrls", "may not act as `anon` and `authenticated`"),
    ],
)
async def test_a_role_that_sees_too_little_or_cannot_act_as_users_is_refused(secured, role, says):
    with pytest.raises(ConfigurationError, match=f"{says}.*use the role `postgres`"):
        await verify_as_users(secured(role))


@pytest.mark.parametrize("wrong", [{"user_ids": [""]}, {"users": 0}, {"rows": 0}])
async def test_what_means_nothing_is_refused_before_anything_is_asked(database, wrong):
    with pytest.raises(InvalidRecordError):
        await verify_as_users(database, **wrong)


async def test_the_lines_of_the_page_run(settings, ann_and_ben, change, capsys):
    change("alter table public.messages disable row level security")
    page = (Path(__file__).parents[2] / "docs" / "verify-as-user.md").read_text(encoding="utf-8")
    [block] = re.findall(r"<!-- example: as_user -->\n```python\n(.*?)```", page, re.DOTALL)
    names = ("supabase_url", "supabase_secret_key", "supabase_db_url")
    scope = {name: getattr(settings, name) for name in names}
    exec(f"async def example():\n{textwrap.indent(block, '    ')}", scope)
    await scope["example"]()
    assert f"{STRANGER} foreign public.messages (" in capsys.readouterr().out

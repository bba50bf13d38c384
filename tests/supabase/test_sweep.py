"""The sweep of what has expired: in batches, beside writers, with what the join must go on to know."""

from datetime import timedelta

import psycopg
import pytest

from chatstore.errors import ConfigurationError, NotFoundError
from chatstore.models import ChatChange, CreateSession, NewMessage, Session, Swept, new_id, utc_now
from chatstore.supabase import apply_schema

PAST = utc_now() - timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def database(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(autouse=True)
async def nothing_expired(chat):
    while (await chat.sweep()).more:
        pass


async def expiring_session(chat, database, user, *contents, removed=0):
    """Make a session with messages, of which the first `removed` are deleted, and let it have expired."""
    session = await chat.create_session(user)
    messages = await chat.append(user, session.id, [NewMessage("user", content) for content in contents])
    await chat.delete_messages(user, session.id, [message.id for message in messages[:removed]])
    expire(database, session.id)
    return session


def expire(database, session_id, at=PAST):
    database.execute("update public.sessions set expires_at = %s where id = %s", (at, session_id))


def held(database, *session_ids):
    """Return how many sessions, messages and tombstones there are of some sessions."""
    return tuple(
        database.execute(f"select count(*) from {table} where {name} = any (%s)", (list(session_ids),)).fetchone()[0]
        for table, name in (
            ("public.sessions", "id"), ("public.messages", "session_id"), ("chatstore.tombstones", "session_id"),
        )
    )  # fmt: skip


async def test_what_has_expired_goes_and_all_else_stays(chat, database):
    user = new_id()
    gone = await expiring_session(chat, database, user, "one", "two", "three", removed=1)
    kept = await chat.create_session(user, expires_at=utc_now() + HOUR)
    [stays, _] = await chat.append(
        user, kept.id, [NewMessage("user", "stays"), NewMessage("user", "goes", expires_at=PAST)]
    )
    assert await chat.sweep() == Swept(sessions=1, messages=3, tombstones=1)
    assert held(database, gone.id) == (0, 0, 0)
    assert held(database, kept.id) == (1, 1, 0)
    assert await chat.messages(user, kept.id) == [stays]
    assert await chat.sweep() == Swept()


async def test_a_sweep_removes_no_more_than_it_may_and_says_that_there_is_more(chat, database):
    user = new_id()
    sessions = [(await expiring_session(chat, database, user, *"abcde", removed=1)).id for _ in range(3)]
    swept, steps = Swept(), 0
    while True:
        step = await chat.sweep(limit=4)
        assert step.sessions + step.messages + step.tombstones <= 4
        swept, steps = swept + step, steps + 1
        if not step.more:
            break
    assert swept == Swept(sessions=3, messages=12, tombstones=3)
    assert steps == 5
    assert held(database, *sessions) == (0, 0, 0)


async def test_a_session_that_somebody_is_writing_is_left_for_the_next_sweep(chat, database, database_url):
    user = new_id()
    busy, idle = [await expiring_session(chat, database, user, "one") for _ in range(2)]
    with psycopg.connect(database_url) as writer:
        writer.execute("select from chatstore.session_states where session_id = %s for update", (busy.id,))
        assert await chat.sweep() == Swept(sessions=1, messages=1)
        assert held(database, busy.id, idle.id) == (1, 1, 0)
        expire(writer, busy.id, utc_now() + HOUR)
        writer.commit()
    assert await chat.sweep() == Swept()
    assert len(await chat.messages(user, busy.id)) == 1


async def test_a_message_or_a_session_that_another_program_holds_is_waited_for_by_no_sweep(
    chat, database, database_url
):
    user = new_id()
    kept = await chat.create_session(user)
    await chat.append(user, kept.id, NewMessage("user", "goes", expires_at=PAST))
    gone = await expiring_session(chat, database, user, "one")
    with psycopg.connect(database_url) as other:
        other.execute("update public.messages set content = 'mine' where session_id = %s", (kept.id,))
        other.execute("update public.sessions set title = 'mine' where id = %s", (gone.id,))
        assert await chat.sweep() == Swept()
    assert await chat.sweep() == Swept(sessions=1, messages=2)


async def test_versions_go_on_where_a_session_that_was_swept_had_come_to(chat, database):
    user, name, ahead = new_id(), new_id(), 4_000_000_000_000_001
    # Written by another program: nothing of chatstore's own knows of it.
    database.execute(
        "insert into public.sessions (id, user_id, version, born, expires_at) values (%s, %s, %s, 5, %s)",
        (name, user, ahead, PAST),
    )
    assert (await chat.sweep()).sessions == 1
    written = await chat.write(CreateSession(user_id=user, session_id=name))
    assert written.change.deleted > ahead
    assert written.session.version > written.change.deleted


async def test_a_sweep_ends_no_life_that_another_side_knows_to_go_on(chat, database):
    """A sweep writes no deletion down: the other side may know of a later expiry, or of a session created since."""
    user = new_id()
    session = await expiring_session(chat, database, user, "one")
    await chat.sweep()
    assert [change async for page in chat.fetch([session.id]) for change in page.changes] == []
    with pytest.raises(NotFoundError):
        await chat.get_session(user, session.id)
    longer = Session(
        id=session.id, user_id=user, created_at=session.created_at, updated_at=session.updated_at,
        version=session.version, born=session.born, expires_at=utc_now().replace(microsecond=0) + HOUR,
    )  # fmt: skip
    await chat.put([ChatChange(session_id=session.id, user_id=user, session=longer)])
    assert await chat.get_session(user, session.id) == longer


async def test_only_the_service_key_may_sweep(chat, careless, public_client, user_client, database):
    session = await expiring_session(chat, database, user := new_id(), "one")
    for foreign in (public_client, user_client(user)):
        with pytest.raises(ConfigurationError):
            await careless(foreign).sweep()
    assert held(database, session.id) == (1, 1, 0)
    rights = database.execute(
        "select role, has_function_privilege(role, 'chatstore.sweep_expired(integer)', 'execute')"
        " from unnest(array['anon', 'authenticated', 'service_role']) role"
    ).fetchall()
    assert rights == [("anon", False), ("authenticated", False), ("service_role", True)]


async def test_a_job_in_the_database_sweeps_as_the_api_does(chat, database):
    session = await expiring_session(chat, database, new_id(), "one")
    [swept] = database.execute("select chatstore.sweep_expired()").fetchone()
    assert swept == {"sessions": 1, "messages": 1, "tombstones": 0, "more": False}
    assert held(database, session.id) == (0, 0, 0)


def test_the_schema_is_applied_over_one_that_knew_no_expiry_of_messages(database_url, database):
    database.execute("create database older")
    try:
        url = database_url.rpartition("/")[0] + "/older"
        with psycopg.connect(url, autocommit=True) as older:
            older.execute(
                "create schema auth; create function auth.jwt() returns jsonb language sql stable return '{}'::jsonb"
            )
            apply_schema(url)
            older.execute(
                "drop function chatstore.sweep_expired(integer), public.chatstore_sweep(text) cascade;"
                "alter table public.messages drop column expires_at;"
                "alter table chatstore.session_states drop column lapsed;"
                "drop index public.sessions_by_expiry;"
                "insert into public.sessions (id, user_id) values ('s', 'u');"
                "insert into public.messages (session_id, id, user_id, position, role, content)"
                " values ('s', 'm', 'u', 0, 'user', 'kept')"
            )
            apply_schema(url)
            apply_schema(url)
            assert older.execute("select content, expires_at from public.messages").fetchall() == [("kept", None)]
            checks = "select count(*) from pg_constraint where conrelid = 'public.messages'::regclass and contype = 'c'"
            assert older.execute(f"{checks} and pg_get_constraintdef(oid) like '%%expires_at%%'").fetchone() == (1,)
            assert older.execute("select chatstore.sweep_expired() ->> 'sessions'").fetchone() == ("0",)
    finally:
        database.execute("drop database older with (force)")

"""The way past the API: which database it takes, and what becomes of a put that something stops."""

import asyncio
import traceback
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

import psycopg
import pytest

from chatstore.errors import ConfigurationError, ConflictError, InvalidRecordError, SchemaError, UnavailableError
from chatstore.models import ChatChange, Message, Session, new_id
from chatstore.supabase import SupabaseChat, SupabaseDatabase, apply_schema
from chatstore.supabase import database as module
from tests.network.proxy import Fault, proxied

AT = datetime(2026, 11, 24, tzinfo=UTC)


def a_change(name=None, *, version=1, messages=3, content="hello", user="u"):
    name = name or new_id()
    return ChatChange(
        session_id=name,
        user_id=user,
        session=Session(id=name, user_id=user, title=str(version), created_at=AT, updated_at=AT, version=version),
        messages=tuple(
            Message(
                id=f"m{place}", session_id=name, user_id=user, position=place, role="user", content=content,
                created_at=AT, version=version,
            )
            for place in range(messages)
        ),
    )  # fmt: skip


async def told(side, name):
    return [change async for page in side.fetch([name]) for change in page.changes]


@pytest.fixture
async def database(database_url, client):
    made = SupabaseDatabase(database_url, client)
    yield made
    await made.close()


@pytest.fixture
def bulk(client, database):
    return SupabaseChat(client, bulk=database)


@pytest.fixture
def postgres(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@asynccontextmanager
async def put_that_waits(side, database_url, change):
    """Begin a put of a session whose state somebody else holds; yield it with the id of the process that waits."""
    await side.put([replace(change, messages=())])
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        await holder.execute(
            "select from chatstore.session_states where session_id = %s for update", (change.session_id,)
        )
        put = asyncio.create_task(side.put([a_change(), change]))
        waiting = None
        while waiting is None:
            await asyncio.sleep(0.02)
            found = await holder.execute(
                "select pid from pg_stat_activity where %s = any (pg_blocking_pids(pid)) and query like '%%put%%'",
                (holder.info.backend_pid,),
            )
            waiting = await found.fetchone()
        yield put, waiting[0]
    await asyncio.gather(put, return_exceptions=True)


async def elsewhere(postgres, database_url):
    """Make another database with the same tables; return its URL."""
    postgres.execute("create database elsewhere")
    url = database_url.rpartition("/")[0] + "/elsewhere"
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("create schema auth; create function auth.jwt() returns jsonb language sql return '{}'::jsonb")
    await asyncio.to_thread(apply_schema, url)
    return url


async def test_another_database_than_the_one_behind_the_api_is_refused_before_anything_is_written(
    client, postgres, database_url
):
    url = await elsewhere(postgres, database_url)
    try:
        other = SupabaseDatabase(url, client)
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="another database than SUPABASE_URL"):
                await SupabaseChat(client, bulk=other).put([a_change()])
        with psycopg.connect(url, autocommit=True) as connection:
            assert connection.execute("select count(*) from public.sessions").fetchone() == (0,)
            connection.execute(
                "create or replace function public.chatstore_version() returns integer language sql return 1"
            )
        with pytest.raises(SchemaError, match="run `chatstore schema --apply`"):
            await SupabaseChat(client, bulk=other).put([a_change()])
        await other.close()
    finally:
        postgres.execute("drop database elsewhere with (force)")


@pytest.mark.parametrize(
    ("change_url", "error"),
    [
        (lambda _: "postgresql://postgres:hunter2@127.0.0.1:1/postgres", UnavailableError),
        (lambda _: "postgresql://postgres:hunter2@127.0.0.1:x/postgres", ConfigurationError),
        (lambda url: url.rpartition("/")[0] + "/nobodys", ConfigurationError),
    ],
)
async def test_a_url_that_leads_nowhere_is_named_and_not_told(client, database_url, change_url, error):
    nowhere = SupabaseDatabase(change_url(database_url), client)
    with pytest.raises(error, match="SUPABASE_DB_URL") as raised:
        await SupabaseChat(client, bulk=nowhere).count()
    assert "hunter2" not in str(raised.value)


async def test_a_put_whose_server_process_is_killed_leaves_nothing_half_and_may_be_put_again(
    bulk, database_url, postgres
):
    change = a_change(messages=50)
    async with put_that_waits(bulk, database_url, change) as (put, process):
        postgres.execute("select pg_terminate_backend(%s)", (process,))
        with pytest.raises(UnavailableError):
            await put
    [held] = await told(bulk, change.session_id)
    assert held.messages == ()
    await bulk.put([change])
    assert await told(bulk, change.session_id) == [change]


async def test_a_put_that_is_cancelled_leaves_nothing_half_and_the_next_one_gets_through(bulk, database_url):
    change = a_change(messages=50)
    async with put_that_waits(bulk, database_url, change) as (put, _):
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put
    [held] = await told(bulk, change.session_id)
    assert held.messages == ()
    await bulk.put([change])
    assert await told(bulk, change.session_id) == [change]


async def test_a_database_that_gives_no_answer_is_not_waited_for_for_ever(bulk, database_url, monkeypatch):
    await bulk.count()
    monkeypatch.setattr(module, "_ANSWER_WITHIN", 0.5)
    change = a_change()
    async with put_that_waits(bulk, database_url, change) as (put, _):
        with pytest.raises(UnavailableError, match="no answer"):
            await asyncio.wait_for(put, 30)
    monkeypatch.setattr(module, "_ANSWER_WITHIN", 60)
    await bulk.put([change])
    assert await told(bulk, change.session_id) == [change]


@pytest.fixture
def narrow_url(postgres, database_url):
    """The database's URL, for a role that may have one connection."""
    postgres.execute("create role narrow login password 'narrow' connection limit 1 bypassrls in role service_role")
    yield database_url.replace(database_url.partition("@")[0], "postgresql://narrow:narrow")
    postgres.execute("drop role narrow")


async def test_where_the_server_has_no_connection_left_those_that_are_open_are_shared(client, narrow_url):
    database = SupabaseDatabase(narrow_url, client)
    side = SupabaseChat(client, bulk=database)
    changes = [a_change() for _ in range(20)]
    await asyncio.gather(*(side.put([change]) for change in changes))
    # Who is cancelled while it waits for the one connection does not take it away.
    waiting = [asyncio.create_task(side.count()) for _ in range(4)]
    await asyncio.sleep(0)
    for task in waiting[1:3]:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert [await told(side, change.session_id) for change in changes] == [[change] for change in changes]
    await database.close()


async def test_a_process_that_gets_no_connection_at_all_says_so_and_may_try_again(client, narrow_url):
    database = SupabaseDatabase(narrow_url, client)
    with psycopg.connect(narrow_url):
        for _ in range(2):
            with pytest.raises(UnavailableError, match="no connections left"):
                await SupabaseChat(client, bulk=database).count()
    await SupabaseChat(client, bulk=database).count()
    await database.close()


@pytest.fixture
async def silencer(database_url):
    """A proxy before the database, and the URL that leads through it."""
    async with proxied(database_url) as proxy:
        to = urlsplit(database_url)
        yield proxy, to._replace(netloc=f"{to.username}:{to.password}@127.0.0.1:{proxy.port}").geturl()


async def is_free_soon_when_cancelled(task):
    assert not task.done()
    task.cancel()
    await asyncio.wait([task], timeout=3)
    assert task.cancelled()


async def test_who_is_cancelled_beside_a_database_that_says_nothing_is_free_in_about_a_second(client, silencer):
    proxy, url = silencer
    side = SupabaseChat(client, bulk=SupabaseDatabase(url, client))
    await side.count()
    await proxy.break_by(Fault.SILENCE)
    counting = asyncio.create_task(side.count())
    await asyncio.sleep(0.2)
    await is_free_soon_when_cancelled(counting)


async def test_so_is_who_is_cancelled_while_both_ways_are_compared(silencer):
    proxy, url = silencer
    compares = asyncio.Event()

    class Waiting:
        async def call(self, function, request):
            await proxy.break_by(Fault.SILENCE)
            compares.set()
            await asyncio.Event().wait()

    database = SupabaseDatabase(url, Waiting())
    counting = asyncio.create_task(database.call("chatstore_count"))
    await compares.wait()
    await is_free_soon_when_cancelled(counting)


async def test_puts_that_meet_on_the_same_sessions_all_get_through(bulk):
    names = [new_id() for _ in range(40)]

    async def put(number):
        order = names if number % 2 else names[::-1]
        await bulk.put([a_change(name, version=number, content=str(number)) for name in order])

    await asyncio.gather(*(put(number) for number in range(1, 13)))
    for name in names:
        assert await told(bulk, name) == [a_change(name, version=12, content="12")]


@pytest.mark.parametrize(
    "change",
    [
        lambda change: replace(change, messages=(replace(change.messages[0], position=2**63, content="secret"),)),
        lambda change: replace(change, messages=(replace(change.messages[0], position=2**70, content="secret"),)),
        lambda change: replace(change, session=replace(change.session, metadata={"secret": float("nan")})),
    ],
    ids=["too great for Postgres", "too great for orjson", "no number"],
)
async def test_a_record_that_postgres_cannot_hold_is_refused_and_none_of_its_batch_is_there(bulk, change):
    good = a_change()
    with pytest.raises(InvalidRecordError) as raised:
        await bulk.put([good, change(a_change())])
    assert "secret" not in "".join(traceback.format_exception(raised.value))
    assert await told(bulk, good.session_id) == []
    await bulk.put([good])
    assert await told(bulk, good.session_id) == [good]


async def test_a_session_of_another_user_is_a_conflict_that_names_it(bulk):
    name = "\x00" + new_id()
    await bulk.put([a_change(name)])
    with pytest.raises(ConflictError) as raised:
        await bulk.put([a_change(name, user="somebody else", version=2)])
    assert repr(name) in str(raised.value)


async def test_a_session_with_much_is_told_in_parts_in_its_order(bulk, chat):
    change = a_change(messages=2500)
    large = a_change(messages=3, content="x" * 3_000_000)
    empty = a_change(messages=0)
    wanted = {one.session_id: one for one in (change, large, empty)}
    await bulk.put(list(wanted.values()))
    for side in (bulk, chat):
        parts = [part async for page in side.fetch(list(wanted)) for part in page.changes]
        assert len(parts) > 5
        for name, whole in wanted.items():
            mine = [part for part in parts if part.session_id == name]
            assert all(part.session == whole.session for part in mine)
            assert [one for part in mine for one in part.messages] == sorted(whole.messages, key=lambda one: one.order)

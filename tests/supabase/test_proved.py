"""What was put with a fingerprint is proved as long as all of it is held as it was put, and never after."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatstore.migration.compare import same
from chatstore.models import ChatChange, DeleteSession, EditMessage, Message, Session, new_id
from chatstore.supabase import SupabaseChat, SupabaseDatabase
from tests.supabase.test_text import any_json, any_text

AT = datetime(2026, 11, 24, 12, 30, 15, 123456, tzinfo=UTC)
LATER = datetime(2126, 11, 24, tzinfo=UTC)
ODD = {"b": [1, 1.0, 1e22, -0.0, 2**70], "a": {"é": None}, "": "\x00"}


def a_change(fingerprint="f1"):
    name = new_id()
    return ChatChange(
        session_id=name,
        user_id="u",
        session=Session(
            id=name, user_id="u", title="title", metadata=ODD, created_at=AT, updated_at=AT, expires_at=LATER, extra=ODD
        ),
        messages=(
            Message(
                id="m1", session_id=name, user_id="u", position=1, role="user", content="one", metadata=ODD,
                created_at=AT, extra=ODD,
            ),
            Message(
                id="m2", session_id=name, user_id="u", position=1, role="tool", content="t\x00wo", created_at=AT,
                expires_at=LATER,
            ),
        ),
        fingerprint=fingerprint,
    )  # fmt: skip


@pytest.fixture
async def bulk(database_url, client):
    database = SupabaseDatabase(database_url, client)
    yield SupabaseChat(client, bulk=database)
    await database.close()


@pytest.fixture
def postgres(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


async def proved(side, change, fingerprint="f1"):
    found = await side.proved({change.session_id: fingerprint, "nobody's": "f1"})
    return found.get(change.session_id)


async def test_what_is_held_as_it_was_put_is_proved_with_its_number_of_messages(chat, bulk):
    for side in (chat, bulk):
        change, empty = a_change(), replace(a_change(), messages=())
        await side.put([change, empty])
        assert await proved(side, change) == 2
        assert await proved(side, empty) == 0
        assert await proved(side, change, "f2") is None


CHANGES = [
    "update public.sessions set user_id = 'v' where id = %(id)s",
    "update public.sessions set title = 'Title' where id = %(id)s",
    "update public.sessions set metadata = metadata - 'a' where id = %(id)s",
    "update public.sessions set created_at = created_at + interval '1 microsecond' where id = %(id)s",
    "update public.sessions set updated_at = updated_at - interval '1 microsecond' where id = %(id)s",
    "update public.sessions set expires_at = expires_at + interval '1 microsecond' where id = %(id)s",
    "update public.sessions set expires_at = null where id = %(id)s",
    "update public.sessions set expires_at = now() where id = %(id)s",
    "update public.sessions set extra = '{}' where id = %(id)s",
    "update public.messages set id = 'm0' where session_id = %(id)s and id = 'm1'",
    "update public.messages set user_id = 'v' where session_id = %(id)s and id = 'm1'",
    "update public.messages set position = 0 where session_id = %(id)s and id = 'm1'",
    "update public.messages set position = 2 where session_id = %(id)s and id = 'm1'",
    "update public.messages set role = 'User' where session_id = %(id)s and id = 'm1'",
    "update public.messages set content = 'one ' where session_id = %(id)s and id = 'm1'",
    "update public.messages set role = role || 'o', content = 'ne' where session_id = %(id)s and id = 'm1'",
    "update public.messages set metadata = metadata || '{\"b\": []}' where session_id = %(id)s and id = 'm1'",
    "update public.messages set metadata = extra || '{\"c\": 1}' where session_id = %(id)s and id = 'm2'",
    "update public.messages set created_at = created_at + interval '1 microsecond' where session_id = %(id)s",
    "update public.messages set expires_at = null where session_id = %(id)s and id = 'm2'",
    "update public.messages set expires_at = now() where session_id = %(id)s and id = 'm2'",
    "update public.messages set extra = '{}' where session_id = %(id)s and id = 'm1'",
    "delete from public.messages where session_id = %(id)s and id = 'm2'",
    "delete from public.messages where session_id = %(id)s",
    "insert into public.messages (session_id, id, user_id, position, role, content) values (%(id)s, 'm', 'u', 9, '', '')",
]


@pytest.mark.parametrize("statement", CHANGES)
async def test_whatever_is_changed_in_the_database_it_is_proved_no_more(bulk, postgres, statement):
    change = a_change()
    await bulk.put([change])
    assert await proved(bulk, change) == 2
    assert postgres.execute(statement, {"id": change.session_id}).rowcount > 0
    assert await proved(bulk, change) is None


async def test_what_a_newer_write_changed_here_is_proved_no_more_nor_by_putting_it_again(chat):
    change = a_change()
    await chat.put([change])
    await chat.write(EditMessage(user_id="u", session_id=change.session_id, message_id="m1", content="newer"))
    assert await proved(chat, change) is None
    await chat.put([change])
    assert await proved(chat, change) is None


async def test_a_part_of_a_session_or_what_is_joined_of_several_proves_nothing(chat):
    parts, joined = a_change(None), a_change()
    newer = replace(joined, session=replace(joined.session, title="newer", version=2), messages=(), fingerprint="f2")
    await chat.put([parts, joined, newer])
    for fingerprint in ("f1", "f2", ""):
        assert await proved(chat, parts, fingerprint) is None
        assert await proved(chat, joined, fingerprint) is None


async def test_a_session_that_was_put_again_is_proved_by_its_newest_fingerprint_alone(chat):
    change = a_change()
    newer = replace(change, session=replace(change.session, title="newer", version=3), fingerprint="f2")
    await chat.put([change])
    await chat.put([newer])
    assert await proved(chat, change) is None
    assert await proved(chat, change, "f2") == 2


async def test_what_expired_before_it_came_is_not_proved(chat):
    change = a_change()
    past = AT - timedelta(days=1)
    lapsed = replace(change, messages=(change.messages[0], replace(change.messages[1], expires_at=past)))
    gone = replace(a_change(), messages=())
    gone = replace(gone, session=replace(gone.session, expires_at=past))
    await chat.put([lapsed, gone])
    assert await proved(chat, lapsed) is None
    assert await proved(chat, gone) is None


async def test_nothing_of_it_is_left_when_its_session_is_deleted(chat, postgres):
    change = a_change()
    await chat.put([change])
    held = "select count(*) from chatstore.copied where session_id = %s"
    assert postgres.execute(held, (change.session_id,)).fetchone() == (1,)
    await chat.write(DeleteSession(user_id="u", session_id=change.session_id))
    assert postgres.execute(held, (change.session_id,)).fetchone() == (0,)
    await chat.put([change])
    assert await proved(chat, change) is None


any_object = st.just({}) | st.dictionaries(any_text, any_json, max_size=3)
any_time = st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_whatever_is_put_is_proved_and_comes_back_as_it_was(bulk, data):
    name, user = new_id() + data.draw(any_text), data.draw(any_text)
    texts, times, objects = (lambda of=of: data.draw(of) for of in (any_text, any_time, any_object))
    messages = tuple(
        Message(
            id=f"{number}{texts()}", session_id=name, user_id=user, role=texts(), content=texts(),
            position=data.draw(st.integers(-(2**63), 2**63 - 1)), metadata=objects(), created_at=times(),
            version=data.draw(st.integers(0, 2**62)), extra=objects(),
        )
        for number in range(data.draw(st.integers(0, 3)))
    )  # fmt: skip
    session = Session(
        id=name,
        user_id=user,
        title=texts(),
        metadata=objects(),
        created_at=times(),
        updated_at=times(),
        extra=objects(),
    )
    change = ChatChange(session_id=name, user_id=user, session=session, messages=messages, fingerprint="f1")
    await bulk.put([change])
    assert await proved(bulk, change) == len(messages)
    [held] = [part async for page in bulk.fetch([name]) for part in page.changes]
    by_id = {message.id: message for message in held.messages}
    assert by_id.keys() == {message.id for message in messages}
    for given_one, held_one in [(session, held.session), *((message, by_id[message.id]) for message in messages)]:
        assert same(given_one.metadata, held_one.metadata)
        assert same(given_one.extra, held_one.extra)
        assert replace(given_one, metadata={}, extra={}) == replace(held_one, metadata={}, extra={})

"""Whatever somebody changes in the rows by hand, a verify tells which field of which record it is."""

from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from chatstore.migration import compare
from chatstore.migration.verify import VerifyOptions, verify_chat
from chatstore.models import ChatChange, KeyPage, Message, Session, Side
from chatstore.supabase import SupabaseChat, SupabaseDatabase
from chatstore.testing import MemoryChat, MemoryProgress

AT = datetime(2026, 11, 24, tzinfo=UTC)
LATER = datetime(2126, 11, 24, tzinfo=UTC)

TAMPERED = {
    "user_id": "user_id = 'v\x01'",
    "title": "title = 'Title'",
    "metadata": "metadata = '{\"a\": 1}'",
    "created_at": "created_at = created_at + interval '1 microsecond'",
    "updated_at": "updated_at = updated_at + interval '1 microsecond'",
    "expires_at": "expires_at = expires_at + interval '1 day'",
    "extra": "extra = '{\"a\": 1}'",
    "position": "position = 7",
    "role": "role = 'User'",
    "content": "content = 'Hello'",
}
FIELDS = [("sessions", field) for field in compare._SESSION] + [("messages", field) for field in compare._MESSAGE]


class These(SupabaseChat):
    """The new side, as if it held some sessions alone: other tests use the same tables."""

    names = ()

    async def keys(self, cursor=None):
        yield KeyPage(self.names, (), None)


def a_change(name):
    session = Session(id=name, user_id="u", title="title", created_at=AT, updated_at=AT, expires_at=LATER, version=2)
    return ChatChange(
        session_id=name,
        user_id="u",
        session=session,
        messages=tuple(
            Message(
                id=id_, session_id=name, user_id="u", position=0, role="user", content="hello", created_at=AT,
                expires_at=LATER, version=2,
            )
            for id_ in ("m0", "m1")
        ),
    )  # fmt: skip


async def nothing():
    """Merge what is marked: nothing is."""


@pytest.mark.parametrize("past_the_api", [False, True])
async def test_a_verify_finds_each_field_that_was_changed_by_hand(client, database_url, namespace, past_the_api):
    names = {name_of(namespace, *place): place for place in FIELDS}
    database = SupabaseDatabase(database_url, client)
    old, new = MemoryChat(Side.OLD), These(client, bulk=database if past_the_api else None)
    new.names = tuple(names)
    for side in (old, new):
        await side.put([a_change(name) for name in names])
    with psycopg.connect(database_url, autocommit=True) as rows:
        for name, (table, field) in names.items():
            where = "id = %s" if table == "sessions" else "session_id = %s and id = 'm1'"
            changed = rows.execute(f"update public.{table} set {TAMPERED[field]} where {where}", (name,))
            assert changed.rowcount == 1
    report = await verify_chat(old, new, MemoryProgress(), repair=nothing, options=VerifyOptions(looks=2, wait=0.001))
    await database.close()
    assert {(difference.key, difference.field) for difference in report.differences} == {
        (f"session/{name}" if table == "sessions" else f"session/{name}/message/m1", field)
        for name, (table, field) in names.items()
    }


async def test_a_message_that_is_another_users_is_read_as_that_users(chat, database_url, namespace):
    change = a_change(namespace)
    await chat.put([change])
    with psycopg.connect(database_url, autocommit=True) as rows:
        rows.execute("update public.messages set user_id = %s where session_id = %s and id = 'm1'", ("w", namespace))
    theirs = (change.messages[0], replace(change.messages[1], user_id="w"))
    for only, messages in ((None, theirs), (["m1"], theirs[1:]), (["m0"], theirs[:1])):
        [held] = [part async for page in chat.fetch([namespace], message_ids=only) for part in page.changes]
        assert (held.user_id, held.messages) == ("u", messages)


def name_of(namespace, table, field):
    return f"{namespace}-{table}-{field}"

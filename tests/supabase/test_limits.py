"""What Postgres cannot hold is known before a record is sent; what it would hold is not refused."""

import secrets
from dataclasses import replace

import pytest

from chatstore.errors import InvalidRecordError
from chatstore.models import ChatChange, Message, Session, utc_now
from chatstore.supabase import limits

NOW = utc_now()
SESSION = Session(id="s", user_id="ann", created_at=NOW, updated_at=NOW)
MESSAGE = Message(id="m", session_id="s", user_id="ann", position=0, role="user", content="tea", created_at=NOW)


def refused(found):
    return [limit.reason for limit in found if limit.refused]


def changed(found):
    return [limit.reason for limit in found if not limit.refused]


def test_plain_records_meet_no_limit():
    assert list(limits.limits_met_by_session(replace(SESSION, title="Tea", metadata={"a": [1]}))) == []
    assert list(limits.limits_met_by_message(replace(MESSAGE, extra={"tool_calls": []}))) == []


def test_characters_that_postgres_cannot_store_are_told_and_held():
    found = list(limits.limits_met_by_message(replace(MESSAGE, content="a\0b", extra={"x": "\0"})))
    assert refused(found) == []
    assert len(changed(found)) == 2
    assert changed(limits.limits_met_by_session(replace(SESSION, title="\0")))


def test_a_large_message_is_told_and_held():
    [reason] = changed(limits.limits_met_by_message(replace(MESSAGE, content="x" * (limits.LARGE + 1))))
    assert "10 MiB" in reason


def test_more_than_a_column_holds_is_refused(monkeypatch):
    monkeypatch.setattr(limits, "MAX_TEXT", 1_000)
    monkeypatch.setattr(limits, "MAX_JSON", 1_000)
    assert "1 GiB" in refused(limits.limits_met_by_message(replace(MESSAGE, content="é" * 501)))[0]
    assert "256 MiB" in refused(limits.limits_met_by_session(replace(SESSION, metadata={"a": "x" * 1_000})))[0]


@pytest.mark.parametrize(("length", "fits"), [(1_300, True), (1_360, False)])
async def test_ids_longer_than_an_index_takes_are_refused_here_and_by_postgres(length, fits, chat, namespace):
    # Random, as Postgres packs what repeats itself.
    session = replace(SESSION, id=namespace + secrets.token_hex(length // 2)[len(namespace) :], user_id=namespace)
    message = replace(MESSAGE, id=secrets.token_hex(length // 2), session_id=session.id, user_id=namespace)
    assert (refused(limits.limits_met_by_message(message)) == []) is fits
    change = ChatChange(session_id=session.id, user_id=namespace, session=session, messages=(message,))
    if fits:
        await chat.put([change])
    else:
        with pytest.raises(InvalidRecordError, match="54000"):
            await chat.put([change])

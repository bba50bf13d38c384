"""Single shadow comparisons on real servers: what an app is told of them, with and without an event loop."""

import asyncio
import re
import time
from pathlib import Path

import pytest

import chatstore
from chatstore.models import Kind, Side, Stage, new_id, utc_now
from chatstore.routing import Outcome
from chatstore.settings import load_settings

EAST = chatstore.Embedding.of([1, 0])
GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"


@pytest.fixture
async def app_settings(redis_database, settings):
    """Both sides of both kinds, at `shadow`."""
    given = load_settings(
        redis_url=redis_database,
        supabase_url=settings.supabase_url,
        supabase_secret_key=settings.supabase_secret_key,
        chroma_url=settings.chroma_url,
        stage=Stage.SHADOW,
    )
    async with chatstore.open(given) as stores:
        for store in (stores.chat, stores.documents):
            for side in Side:
                await store.sides[side].journal.remember(verified_at=utc_now(), journal_open=True)
    return given


async def use(stores, user):
    """Write and read both kinds; gives the session's id."""
    session = await stores.chat.create_session(user, title="a secret")
    await stores.chat.append(user, session.id, [chatstore.NewMessage("user", f"secret {n}") for n in range(12)])
    await stores.chat.last_messages(user, session.id, 50)
    await stores.documents.upsert(user, chatstore.NewDocument("a secret", embedding=EAST))
    await stores.documents.search(user, EAST, k=3)
    return session.id


def check(told, user, session_id):
    [history] = [seen for seen in told if seen.operation == "last_messages"]
    [search] = [seen for seen in told if seen.operation == "search"]
    assert (history.kind, history.user_id, history.key, history.records) == (Kind.CHAT, user, session_id, 12)
    assert (search.kind, search.user_id, search.records, search.agreement.overlap) == (Kind.DOCUMENTS, user, 1, 1.0)
    for seen in (history, search):
        assert (seen.outcome, seen.served_by, seen.detail) == (Outcome.EQUAL, Side.OLD, "")
        assert 0 < seen.served_seconds < 60
        assert 0 < seen.other_seconds < 60
    assert "secret" not in repr(told)


async def test_an_app_is_told_of_the_comparisons_of_both_kinds(app_settings):
    user, told = new_id(), []
    async with chatstore.open(app_settings, inline=True, on_comparison=told.append) as stores:
        session_id = await use(stores, user)
        await asyncio.gather(stores.chat.shadow.drain(), stores.documents.shadow.drain())
    check(told, user, session_id)


async def test_a_blocking_app_is_told_of_them_too(app_settings):
    user, told = new_id(), []

    def app():
        with chatstore.open_blocking(app_settings, inline=True, on_comparison=told.append) as stores:
            session = stores.chat.create_session(user, title="a secret")
            stores.chat.append(user, session.id, [chatstore.NewMessage("user", f"secret {n}") for n in range(12)])
            stores.chat.last_messages(user, session.id, 50)
            stores.documents.upsert(user, chatstore.NewDocument("a secret", embedding=EAST))
            stores.documents.search(user, EAST, k=3)
            until = time.monotonic() + 20  # a thread that goes on for ever would hold up the end of all tests
            while len(told) < 2 and time.monotonic() < until:
                stores.stages()
        return session.id

    async with asyncio.timeout(30):
        session_id = await asyncio.to_thread(app)
    check(told, user, session_id)


async def test_the_guides_function_tells_of_what_is_not_equal(app_settings, capsys):
    [block] = re.findall(r"<!-- example: on-comparison -->\n```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    scope = {}
    exec(block.partition("\n\nasync with")[0], scope)
    user = new_id()
    async with chatstore.open(app_settings, inline=True, on_comparison=scope["tell"]) as stores:
        session = await stores.chat.create_session(user, title="a secret")
        await stores.chat.get_session(user, session.id)
        await stores.chat.shadow.drain()
        await stores.chat.sides.new.update_session(user, session.id, title="another secret")
        await stores.chat.get_session(user, session.id)
        await stores.chat.shadow.drain()
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith(f"chat get_session {user} {session.id} mismatched session differs in ")
    assert "title" in line
    assert "secret" not in line

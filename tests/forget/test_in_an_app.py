"""As an app calls it: awaited, blocking, and where each user is served with a token of theirs."""

import asyncio

import pytest

import chatstore
from chatstore.models import Kind, Side
from chatstore.stores import Stores
from tests.forget.places import NOTHING, SECRET, document, message, seen_by


async def test_an_app_forgets_a_user_whose_token_nobody_has_any_more(own, app, places):
    async def token_of(user_id):
        raise LookupError(user_id)

    chat, documents = await app.chat_sides(), await app.document_sides()
    for side in Side:
        await chat[side].create_session(places.user, session_id=f"s-{places.user}", title=SECRET)
        await documents[side].upsert(places.user, [document("d")])
    async with chatstore.open(own, token_of=token_of, repair=False) as stores:
        counted = await stores.forget(places.user, dry_run=True)
        assert {kind: set(one.records.values()) for kind, one in counted.items()} == {kind: {1} for kind in Kind}
        assert await places.contents()
        assert await stores.forget(places.user) == counted
    assert await seen_by(places.user, chat, documents) == NOTHING
    assert await places.contents() == []


def test_so_does_a_blocking_one(own, namespace):
    with chatstore.open_blocking(own) as stores:
        session = stores.chat.create_session(namespace, title="t")
        stores.chat.append(namespace, session.id, message())
        assert stores.forget(namespace)[Kind.CHAT].records[Side.OLD] == 1
        assert stores.chat.list_sessions(namespace).items == ()


async def test_an_id_that_no_user_can_have_is_refused(own):
    async with chatstore.open(own, repair=False) as stores:
        with pytest.raises(chatstore.InvalidRecordError):
            await stores.forget("")


async def test_stores_of_a_test_say_that_they_forget_nobody():
    await asyncio.sleep(0)
    with pytest.raises(chatstore.ConfigurationError):
        await Stores(None, None).forget("u")

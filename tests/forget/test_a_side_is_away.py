"""A side that is away: the other one's records are deleted all the same, and marked; again, it is finished."""

import pytest

from chatstore.backends import Backends
from chatstore.errors import UnavailableError
from chatstore.forgetting import forget
from chatstore.models import Side
from chatstore.routing import chat_repairer, document_repairer
from tests.forget.places import NOTHING, document, message, seen_by

NOWHERE = "http://127.0.0.1:9"


async def on_both_sides(chat, documents, user):
    for side in Side:
        await chat[side].create_session(user, session_id=f"s-{user}", title="t", metadata={})
        await documents[side].upsert(user, [document(f"d-{user}")])
    await chat.old.append(user, f"s-{user}", message())


@pytest.mark.parametrize("away", Side)
async def test_it_says_what_is_not_done_and_the_marks_say_it_to_a_repair(app, own, places, away):
    chat, documents = await app.chat_sides(), await app.document_sides()
    await on_both_sides(chat, documents, places.user)
    gone = (
        {"redis_url": "redis://127.0.0.1:9/0"} if away is Side.OLD else {"supabase_url": NOWHERE, "chroma_url": NOWHERE}
    )
    async with Backends(
        own.model_copy(update={name: type(getattr(own, name))(url) for name, url in gone.items()})
    ) as cut:
        with pytest.raises(UnavailableError) as error:
            await forget(cut, places.user)
    assert f"the {away} side is not done" in str(error.value)
    assert "Forget the user again" in str(error.value)
    assert (await seen_by(places.user, chat, documents))[away.other] == ([], [])
    assert (await seen_by(places.user, chat, documents))[away] == ([f"s-{places.user}"], [f"d-{places.user}"])

    # The marks alone do it, too, for what both sides had.
    marks = [mark for sides in (chat, documents) for mark in await sides[away.other].journal.marks_of(places.user)]
    assert marks
    await chat_repairer(chat).run(await chat[away.other].journal.marks_of(places.user))
    await document_repairer(documents).run(await documents[away.other].journal.marks_of(places.user))
    assert await seen_by(places.user, chat, documents) == NOTHING

    again = await forget(app, places.user)
    assert all(one.complete for one in again.values())
    assert await places.contents() == []


async def test_one_side_alone_is_forgotten_where_the_settings_name_no_other(own, app, places):
    chat, documents = await app.chat_sides(), await app.document_sides()
    await on_both_sides(chat, documents, places.user)
    nothing = {"supabase_url": None, "supabase_secret_key": None, "chroma_url": None}
    async with Backends(own.model_copy(update=nothing)) as redis_only:
        done = await forget(redis_only, places.user)
    assert {kind: dict(one.records) for kind, one in done.items()} == {
        "chat": {Side.OLD: 1},
        "documents": {Side.OLD: 1},
    }
    assert (await seen_by(places.user, chat, documents))[Side.OLD] == ([], [])
    async with Backends(own.model_copy(update={"redis_url": None})) as new_only:
        done = await forget(new_only, places.user)
    assert {kind: dict(one.records) for kind, one in done.items()} == {
        "chat": {Side.NEW: 1},
        "documents": {Side.NEW: 1},
    }
    assert await seen_by(places.user, chat, documents) == NOTHING
    assert await places.contents() == []

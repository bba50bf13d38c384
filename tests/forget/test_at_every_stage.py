"""A user who is forgotten is gone from both sides, at every stage, and nobody else is touched."""

import asyncio
from datetime import timedelta

import pytest

from chatstore.forgetting import forget
from chatstore.models import (
    AppendMessages,
    CreateSession,
    Document,
    DocumentChange,
    DocumentKey,
    Embedding,
    Kind,
    NewDocument,
    Side,
    Stage,
    UpsertDocuments,
    utc_now,
)
from chatstore.routing import (
    ChatRouter,
    DocumentRouter,
    StageResolver,
    chat_replicator,
    document_replicator,
)
from tests.flags import Flags
from tests.forget.places import NOTHING, SECRET, document, message, seen_by


async def routers(backends, stage):
    chat, documents = await backends.chat_sides(), await backends.document_sides()
    flags = Flags(stage)
    made = []
    for kind, sides, router, replicator in (
        (Kind.CHAT, chat, ChatRouter, chat_replicator),
        (Kind.DOCUMENTS, documents, DocumentRouter, document_replicator),
    ):
        for side in Side:
            await sides[side].journal.forget_state()
            await sides[side].journal.remember(verified_at=utc_now(), journal_open=True)
        stages = StageResolver(kind, [sides[side].journal for side in Side], client=flags.client)
        made.append(router(sides, stages, replicator=replicator(sides, inline=True)))
    return made


async def says_much(chat, documents, user, name):
    session = await chat.create_session(user, session_id=f"{name}-{user}", title=SECRET, metadata={"note": SECRET})
    await chat.append(user, session.id, [message(str(number)) for number in range(3)])
    await documents.upsert(user, [document(f"{name}-{number}-{user}") for number in range(3)])


async def alone(sides, documents, side, user, *, expired=False):
    """What one side only holds of a user: what a backfill that was stopped leaves behind, say."""
    name = f"{'expired' if expired else 'alone'}-{side}-{user}"
    expires_at = utc_now() + timedelta(milliseconds=1) if expired else None
    command = CreateSession(user_id=user, session_id=name, title=SECRET, expires_at=expires_at)
    await sides[side].write(command)
    if not expired:
        await sides[side].write(AppendMessages(user_id=user, session_id=name, messages=(message(),)))
        await documents[side].write(UpsertDocuments(user_id=user, documents=(document(name),)))
        return
    now = utc_now()
    gone = Document(
        id=name, user_id=user, text=SECRET, embedding=Embedding.of([1, 2, 3]), created_at=now, updated_at=now,
        version=1_700_000_000_000_001, expires_at=now + timedelta(milliseconds=200),
    )  # fmt: skip
    await documents[side].put([DocumentChange(key=DocumentKey(user, name), document=gone)])
    await asyncio.sleep(0.25)


@pytest.mark.parametrize("stage", Stage)
async def test_all_of_a_user_is_gone_from_both_sides_and_nobody_else_is_touched(app, places, stage):
    chat, documents = await routers(app, stage)
    friend, user = places.friend, places.user
    await chat.create_session(friend, session_id=f"kept-{friend}", title="kept")
    await documents.upsert(friend, NewDocument("kept", id="kept", embedding=Embedding.of([1, 2, 3])))
    theirs = await seen_by(friend, chat.sides, documents.sides)
    await says_much(chat, documents, user, "routed")
    for side in Side:
        await alone(chat.sides, documents.sides, side, user)
    await alone(chat.sides, documents.sides, Side.NEW, user, expired=True)
    assert await places.contents()

    done = await forget(app, user)
    assert all(one.complete for one in done.values()), done
    assert await seen_by(user, chat.sides, documents.sides) == NOTHING
    assert await places.contents() == []
    assert not [
        mark
        for sides in (chat.sides, documents.sides)
        for side in Side
        for mark in await sides[side].journal.marks_of(user)
    ]
    assert await seen_by(friend, chat.sides, documents.sides) == theirs

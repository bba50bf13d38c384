"""A user is forgotten while a backfill runs and the user's app writes: nothing of before comes back."""

import asyncio
from contextlib import suppress

from chatstore.errors import NotFoundError
from chatstore.forgetting import forget
from chatstore.migration import BackfillOptions, backfill_chat, backfill_documents, verify_chat, verify_documents
from chatstore.models import (
    AppendMessages,
    CreateSession,
    Embedding,
    Kind,
    NewDocument,
    NewMessage,
    Side,
    UpsertDocuments,
)
from chatstore.routing import chat_repairer, document_repairer
from tests.forget.places import SECRET, document, message

MANY = 16


async def says(chat, documents, user, text, how_much=MANY):
    """Write to the old side alone, as before a migration."""
    for number in range(how_much):
        name = f"{number}-{user}"
        await chat.write(CreateSession(user_id=user, session_id=name, title=text))
        messages = tuple(NewMessage("user", f"{text} {place}") for place in range(3))
        await chat.write(AppendMessages(user_id=user, session_id=name, messages=messages))
    made = [NewDocument(text, id=f"{n}-{user}", embedding=Embedding.of([1, 2, 3])) for n in range(how_much)]
    await documents.write(UpsertDocuments(user_id=user, documents=tuple(made)))


async def test_nothing_comes_back_by_a_backfill_and_others_are_copied_whole(app, other, places):
    """Whichever of the two comes by a record first: both walk over all of them, at the same time."""
    user, friend = places.user, places.friend
    chat, documents = await app.chat_sides(), await app.document_sides()
    for sides in (chat, documents):
        for side in Side:
            await sides[side].journal.forget_state()
    await says(chat.old, documents.old, user, SECRET)
    await says(chat.old, documents.old, friend, "kept", 10)
    chat_progress, documents_progress = app.progress(Kind.CHAT), app.progress(Kind.DOCUMENTS)
    repair_chat = chat_repairer(chat, progress=chat_progress).run
    repair_documents = document_repairer(documents, progress=documents_progress).run
    small = BackfillOptions(batch=3)

    async def writes_on():
        """The user's own app, which has not heard of it; it writes to what may be gone already."""
        for number in range(MANY):
            name = f"{number}-{user}"
            with suppress(NotFoundError):  # it is gone
                await chat.old.write(AppendMessages(user_id=user, session_id=name, messages=(message("beside"),)))

    copied, forgotten, _ = await asyncio.gather(
        asyncio.gather(
            backfill_chat(chat.old, chat.new, chat_progress, repair=repair_chat, options=small),
            backfill_documents(
                documents.old, documents.new, documents_progress, repair=repair_documents, options=small
            ),
        ),
        forget(other, user),
        writes_on(),
    )
    assert all(report.complete for report in copied)
    assert all(one.complete for one in forgotten.values()), forgotten
    assert {kind: one.records[Side.OLD] for kind, one in forgotten.items()} == dict.fromkeys(Kind, MANY)
    assert await places.contents() == []

    verified = await verify_chat(chat.old, chat.new, chat_progress, repair=repair_chat)
    assert [one for one in verified.differences if user in one.key or friend in one.key] == []
    verified = await verify_documents(documents.old, documents.new, documents_progress, repair=repair_documents)
    assert verified.differences == ()
    for side in Side:
        assert len((await chat[side].list_sessions(friend)).items) == 10
        assert await documents[side].count_documents(friend) == 10
        assert await chat[side].count_messages(friend, f"3-{friend}") == 3

    # And what the user says from then on stays.
    await chat.old.write(CreateSession(user_id=user, session_id=f"0-{user}", title="again"))
    await documents.old.write(UpsertDocuments(user_id=user, documents=(document(f"0-{user}"),)))
    assert [one.title for one in (await chat.old.list_sessions(user)).items] == ["again"]
    assert await documents.old.count_documents(user) == 1

"""What lies in Redis beside what a user sees: expired, unreadable, quarantined, or of others with the same id."""

import asyncio

from chatstore.forgetting import forget
from chatstore.migration import backfill_chat
from chatstore.models import Embedding, Kind, NewDocument, NewMessage, Side, UpsertDocuments
from chatstore.routing import chat_repairer
from tests.forget.places import NOTHING, SECRET, document, message, seen_by


async def test_what_the_ledger_kept_of_what_expired_is_gone(app, places):
    chat, documents = await app.chat_sides(), await app.document_sides()
    user = places.user
    await chat.old.create_session(user, session_id="s", title=SECRET)
    await chat.old.append(user, "s", [message()])
    await documents.old.upsert(user, document("d"))
    assert await places.contents()
    # As a TTL does it.
    await places.redis.delete("session:s", "document:d", *[key async for key in places.redis.scan_iter("message:*")])
    done = await forget(app, user)
    assert all(one.complete for one in done.values()), done
    assert await places.contents() == []
    states = [key async for key in places.redis.scan_iter("chatstore:*:hash:state:*")]
    assert [await places.redis.hmget(key, "version", "rest") for key in states] == [[b"0", b""]] * 2
    assert {kind: one.records[Side.OLD] for kind, one in (await forget(app, user)).items()} == dict.fromkeys(Kind, 0)


async def test_what_cannot_be_read_is_counted_and_left(app, places):
    user = places.user
    await places.redis.hset("session:bad", mapping={"userId": user, "title": "t", "createdAt": "never", "updatedAt": 1})
    await places.redis.hset("document:bad", mapping={"userId": user, "content": "t", "createdAt": "never"})
    await places.redis.hset("session:others", mapping={"userId": places.friend, "createdAt": "never"})
    done = await forget(app, user)
    assert {kind: (one.unreadable, one.complete) for kind, one in done.items()} == dict.fromkeys(Kind, (1, False))
    assert await places.redis.exists("session:bad", "document:bad", "session:others") == 3


async def test_its_entries_of_the_quarantine_are_taken_out_and_no_others(app, places):
    """Of a message that cannot be read, the quarantine holds what it says."""
    chat = await app.chat_sides()
    for user in (places.user, places.friend):
        await chat.old.create_session(user, session_id=f"s-{user}", title="t")
        [said] = await chat.old.append(user, f"s-{user}", [NewMessage("user", "kept")])
        await places.redis.hset(f"message:{said.id}", "metadata", f"what {user} says, and no JSON")
    progress = app.progress(Kind.CHAT)
    await backfill_chat(chat.old, chat.new, progress, repair=chat_repairer(chat).run)
    assert await progress.count_quarantined() == 2
    done = await forget(app, places.user)
    assert done[Kind.CHAT].quarantined == 1
    assert done[Kind.CHAT].complete
    [left] = [entry async for entry in progress.quarantined()]
    assert places.friend in left.raw.decode()


async def test_another_users_document_of_the_same_id_stays(app, places):
    """In Redis an id is one user's; in Chroma each user has a collection."""
    documents = await app.document_sides()
    user, friend = places.user, places.friend
    await documents.new.write(UpsertDocuments(user_id=user, documents=(document("same"),)))
    theirs = NewDocument("kept", id="same", embedding=Embedding.of([3, 2, 1]))
    for side in Side:
        await documents[side].write(UpsertDocuments(user_id=friend, documents=(theirs,)))
    done = await forget(app, user)
    assert done[Kind.DOCUMENTS].records == {Side.OLD: 0, Side.NEW: 1}
    assert await places.contents() == []
    assert [(await documents[side].get(friend, "same")).text for side in Side] == ["kept", "kept"]


async def test_two_may_forget_a_user_at_once(app, other, places):
    chat, documents = await app.chat_sides(), await app.document_sides()
    for side in Side:
        for number in range(2):
            await chat[side].create_session(places.user, session_id=f"{number}-{places.user}", title=SECRET)
        await documents[side].upsert(places.user, [document(f"{number}") for number in range(2)])
    both = await asyncio.gather(forget(app, places.user), forget(other, places.user))
    assert all(one.complete for done in both for one in done.values()), both
    assert await seen_by(places.user, chat, documents) == NOTHING
    assert await places.contents() == []

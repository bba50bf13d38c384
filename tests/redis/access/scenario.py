"""What a user of each purpose does in Redis, in one pass over all that may need a right."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta

from chatstore.errors import LayoutError, LeaseLostError, NotFoundError
from chatstore.models import (
    Embedding,
    Kind,
    Mark,
    NewDocument,
    NewMessage,
    Quarantined,
    Side,
    Stage,
    utc_now,
)
from chatstore.redis import RedisChat, RedisDocuments, RedisJournal, RedisProgress

VECTOR = Embedding.of([1.0, 0.0])
SOON = timedelta(hours=1)


async def every_write(client, admin, chat_layout, document_layout, user="ann"):
    """As the router, with all that a background repair does beside it."""
    chat = RedisChat(client, chat_layout)
    documents = RedisDocuments(client, document_layout)
    session = await chat.create_session(user, title="one", expires_at=utc_now() + SOON)
    first = NewMessage("user", "hello")
    await chat.append(user, session.id, [first, NewMessage("assistant", "hi"), NewMessage("user", "x")])
    await chat.append(user, session.id, first)
    await chat.edit_message(user, session.id, first.id, content="hello!")
    await chat.update_session(user, session.id, title="two")
    await chat.pop_message(user, session.id)
    await chat.delete_messages(user, session.id, [first.id])
    await chat.messages(user, session.id)
    await chat.last_messages(user, session.id, 1)
    await chat.count_messages(user, session.id)
    await chat.clear_messages(user, session.id)
    await chat.replace_messages(user, session.id, [NewMessage("user", "anew")])
    found = [change async for page in chat.fetch([session.id]) for change in page.changes]
    await chat.delete_session(user, session.id)
    [change] = found
    later = replace(
        change.session, version=change.session.version + 10_000_000, born=change.session.version + 10_000_000
    )
    messages = [replace(message, version=later.version, position=i) for i, message in enumerate(change.messages)]
    await chat.put([replace(change, session=later, messages=tuple(messages), tombstones=())])
    lasting = replace(later, version=later.version + 2, expires_at=None)
    await chat.put([replace(change, session=lasting, messages=tuple(messages), tombstones=())])
    await read_all(chat, documents, user)
    document = NewDocument("a text", id="d", embedding=VECTOR)
    [held] = await documents.upsert(user, document)
    await documents.upsert(user, document)
    page = await documents.changes([(await first_key(documents))])
    newer = replace(page.changes[0].document, version=held.version + 10, expires_at=utc_now() + SOON)
    await documents.put([replace(page.changes[0], document=newer)])
    await documents.upsert(user, document)
    await documents.search(user, VECTOR)
    for store in (chat, documents):
        assert [name async for names in store.held_by(user) for name in names]
    await documents.delete(user, ["d"])
    await bad_records(chat, documents, admin)
    await every_mark(RedisJournal(client, Kind.CHAT))
    await every_note(RedisProgress(client, Kind.CHAT))
    await chat.close()
    await documents.close()


async def first_key(documents):
    async for page in documents.scan():
        for change in page.changes:
            return change.key
    raise AssertionError("there is no document")


async def every_read(client, admin, chat_layout, document_layout, user="ann"):
    """As a migration that copies from Redis, and verifies."""
    chat = RedisChat(client, chat_layout)
    documents = RedisDocuments(client, document_layout)
    await read_all(chat, documents, user)
    changes = [change async for page in chat.scan() for change in page.changes]
    await chat.put(changes)
    async for page in documents.scan():
        await documents.put(page.changes)
    await bad_records(chat, documents, admin)
    for kind in Kind:
        await every_mark(RedisJournal(client, kind))
        await every_note(RedisProgress(client, kind))
    await chat.close()
    await documents.close()


async def read_all(chat, documents, user):
    assert [page async for page in chat.scan()]
    assert [page async for page in documents.scan()]
    await chat.count()
    await documents.count()
    sessions = (await chat.list_sessions(user)).items
    await chat.fingerprints([session.id for session in sessions])
    for session in sessions:
        await chat.get_session(user, session.id)
        await chat.messages(user, session.id)
    page = await chat.list_sessions(user, limit=1)
    if page.next:
        await chat.list_sessions(user, limit=1, after=page.next)
    with contextlib.suppress(NotFoundError):
        await chat.get_session(user, "nobody")
    listed = (await documents.list_documents(user)).items
    await documents.get_many(user, [document.id for document in listed])
    await documents.count_documents(user)


async def bad_records(chat, documents, admin):
    """What lies where a record should, and is none: it is looked at to say what it is."""
    for key, value in (("text", "x"), ("list", None)):
        for layout in (chat._layout, documents._layout):
            place = layout.prefix + key.encode()
            await (admin.set(place, value) if value else admin.rpush(place, "x"))
    for name in ("text", "list"):
        with contextlib.suppress(LayoutError, NotFoundError):
            await chat.get_session("ann", name)
        with contextlib.suppress(LayoutError, NotFoundError):
            await documents.get("ann", name)
    async for _ in chat.scan():
        pass
    async for _ in documents.scan():
        pass
    for name in ("text", "list"):
        for layout in (chat._layout, documents._layout):
            await admin.delete(layout.prefix + name.encode())


async def every_mark(journal):
    marks = [Mark(key="k", user_id="ann", side=Side.OLD, op="append") for _ in range(3)]
    await journal.add(marks)
    await journal.marks(limit=1)
    await journal.marks(limit=10, after=marks[0])
    await journal.marks_of("ann")
    await journal.marks_of("ann", ["k"])
    await journal.backlog()
    assert len(await journal.clear_alone(marks[:1])) == 1
    await journal.clear(marks)
    await journal.remember(journal_open=True, stage=Stage.DUALWRITE)
    await journal.add([replace(marks[0], while_open=True)])
    await journal.clear(marks)
    await journal.state()
    await journal.forget_state()


async def every_note(progress):
    await progress.acquire("one", 30)
    with contextlib.suppress(LeaseLostError):
        await progress.acquire("two", 30)
    await progress.save_checkpoint("run", "here", "one")
    await progress.checkpoint("run")
    await progress.save_checkpoint("run", None, "one")
    await progress.quarantine([Quarantined(key="k", reason="bad", raw=b"x", size=1)])
    assert [record async for record in progress.quarantined()]
    await progress.count_quarantined()
    await progress.release_quarantined(["k"])
    await progress.release("one")


async def fill(admin, chat_layout, document_layout, user="ann"):
    """As an app that has used chatstore for a while, beside other programs that write the same layout."""
    chat = RedisChat(admin, chat_layout)
    documents = RedisDocuments(admin, document_layout)
    for expires in (None, utc_now() + SOON):
        session = await chat.create_session(user, title="one", expires_at=expires)
        messages = [NewMessage("user", str(i)) for i in range(3)]
        await chat.append(user, session.id, messages)
        await chat.delete_messages(user, session.id, [messages[0].id])
        if chat_layout.shared:
            # Another program knows nothing of our ledger, and it may be gone altogether.
            await admin.hset(chat_layout.prefix + session.id.encode(), "messageIds", f'["{messages[1].id}"]')
            await admin.delete(f"message:{messages[2].id}")
    await documents.upsert(user, NewDocument("a text", id="d", embedding=VECTOR))
    await chat.close()
    await documents.close()

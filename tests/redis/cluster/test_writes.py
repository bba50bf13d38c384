"""Writes to a cluster: the mark goes before, is taken back where nothing came of it, and nothing comes unmarked."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from chatstore.errors import ConflictError, NotFoundError, UnavailableError, UnsupportedError
from chatstore.models import (
    AppendMessages,
    CreateSession,
    DeleteDocuments,
    Embedding,
    Mark,
    NewDocument,
    NewMessage,
    Side,
    UpdateSession,
    UpsertDocuments,
    utc_now,
)
from chatstore.redis import RedisChat, ahead, chat_layout, connect
from chatstore.redis.slots import slot_of
from chatstore.routing import Sides, merge_chat
from chatstore.testing import MemoryChat

VECTOR = Embedding.of([1.0, 0.0])


@pytest.fixture
async def client(redis_cluster):
    async with connect(redis_cluster.url) as client:
        yield client


@pytest.fixture
async def chat(client):
    store = RedisChat(client, chat_layout("chatstore"))
    yield store
    await store.close()


def marked(key, **more):
    return Mark(key=key, user_id="ann", side=Side.OLD, op="test", **more)


def appending(session, *texts):
    messages = tuple(NewMessage("user", text) for text in texts)
    return AppendMessages(user_id="ann", session_id=session.id, messages=messages)


async def test_a_mark_is_leased_while_the_write_is_under_way_and_then_is_what_was_given(chat, monkeypatch):
    session = await chat.create_session("ann")
    seen = []
    execute = chat._execute

    async def watched(*given):
        seen.extend(await chat.journal.marks_of("ann"))
        return await execute(*given)

    monkeypatch.setattr(chat, "_execute", watched)
    mark = marked(session.id)
    await chat.write(appending(session, "x"), mark)
    assert [replace(one, lease_until=None) for one in seen] == [mark]
    assert seen[0].is_leased(utc_now() + timedelta(seconds=10))
    assert await chat.journal.marks_of("ann") == [mark]


async def test_a_mark_of_a_write_that_came_to_nothing_is_taken_back(chat):
    session = await chat.create_session("ann")
    [message] = await chat.append("ann", session.id, NewMessage("user", "x"))
    nobodys = UpdateSession(user_id="ann", session_id="nobody", title="x")
    with pytest.raises(NotFoundError):
        await chat.write(nobodys, marked("nobody"))
    other = AppendMessages(user_id="ann", session_id=session.id, messages=(NewMessage("user", "other", id=message.id),))
    with pytest.raises(ConflictError):
        await chat.write(other, marked(session.id))
    again = AppendMessages(user_id="ann", session_id=session.id, messages=(NewMessage("user", "x", id=message.id),))
    await chat.write(again, marked(session.id))
    assert await chat.journal.marks_of("ann") == []


@pytest.mark.parametrize("is_open", [False, True])
async def test_a_write_to_one_side_keeps_its_mark_only_if_the_journal_is_open(chat, documents, is_open):
    for side in (chat, documents):
        await side.journal.remember(journal_open=is_open)
    session = await chat.create_session("ann")
    mark = marked(session.id, while_open=True)
    await chat.write(appending(session, "x"), mark)
    assert await chat.journal.marks_of("ann") == [mark] * is_open
    mark = marked("d", while_open=True)
    await documents.write(upserting("d"), [mark])
    assert await documents.journal.marks_of("ann") == [mark] * is_open


async def test_a_journal_that_is_opened_in_the_middle_of_a_write_has_its_mark(chat, monkeypatch):
    """Else a backfill could read the session just before that write, and nobody would ever bring it."""
    session = await chat.create_session("ann")
    execute = chat._execute

    async def opened_meanwhile(*given):
        await chat.journal.remember(journal_open=True)
        return await execute(*given)

    monkeypatch.setattr(chat, "_execute", opened_meanwhile)
    mark = marked(session.id, while_open=True)
    await chat.write(appending(session, "x"), mark)
    assert await chat.journal.marks_of("ann") == [mark]


async def test_what_is_run_after_its_deadline_does_nothing_and_is_told_from_what_may_have_been_done(
    chat, documents, monkeypatch
):
    session = await chat.create_session("ann")
    monkeypatch.setattr(ahead, "_DONE_WITHIN", timedelta(seconds=-1))
    with pytest.raises(UnavailableError, match="did not do it"):
        await chat.write(appending(session, "x"), marked(session.id))
    with pytest.raises(UnavailableError, match="did not do it"):
        await documents.write(upserting("d"), [marked("d")])
    assert await chat.messages("ann", session.id) == []
    assert await documents.count() == 0
    assert await chat.journal.marks_of("ann") == []
    assert await documents.journal.marks_of("ann") == []


async def test_a_writer_that_stands_still_writes_nothing_after_its_mark_may_be_gone(chat, redis_cluster, client):
    """Its node is told, and does it only when the lease is over: then a repairer may have cleared the mark."""
    session = await chat.create_session("ann")
    node = redis_cluster.owner_of(b"chatstore:chat:chatstore:header:" + session.id.encode())
    await chat.append("ann", session.id, NewMessage("user", "before"))
    deadline = ahead.Deadline()
    deadline.at = int(utc_now().timestamp() * 1_000_000) + 300_000
    call = deadline.on(chat._calls.write(appending(session, "late"), None))
    with node.stopped():
        asking = asyncio.create_task(client.ask("EVAL", call.script.text, len(call.keys), *call.keys, *call.arguments))
        await asyncio.sleep(0.6)
    assert await asking == [b"late"]
    assert [one.content for one in await chat.messages("ann", session.id)] == ["before"]


async def test_a_merge_leaves_a_mark_whose_write_may_still_come(chat):
    sides = Sides(chat, MemoryChat(Side.NEW))
    session = await chat.create_session("ann")
    on_its_way, done = marked(session.id, lease_until=utc_now() + timedelta(seconds=5)), marked(session.id)
    await chat.journal.add([on_its_way, done])
    merged = await merge_chat(sides, [on_its_way, done])
    assert (merged.cleared, merged.left) == ((done,), (on_its_way,))
    assert await chat.journal.marks_of("ann") == [on_its_way]
    assert (await sides.new.get_session("ann", session.id)).id == session.id


async def test_of_a_batch_each_document_has_its_own_mark(documents):
    await documents.upsert("bob", NewDocument("x", id="taken", embedding=VECTOR))
    names = ["a", "taken", "b"]
    marks = {name: marked(name) for name in names}
    with pytest.raises(ConflictError):
        await documents.write(upserting(*names), list(marks.values()))
    assert set(await documents.journal.marks_of("ann")) == {marks["a"], marks["b"]}
    gone = DeleteDocuments(user_id="ann", ids=("a", "nobody"))
    await documents.write(gone, [marked("a"), marked("nobody")])
    assert {mark.key for mark in await documents.journal.marks_of("ann")} == {"a", "b"}


async def test_lists_show_what_is_there_whatever_the_index_says(chat, client):
    sessions = [await chat.create_session("ann", title=str(i)) for i in range(5)]
    await chat.delete_session("ann", sessions[0].id)
    await chat.append("ann", sessions[1].id, NewMessage("user", "x"))
    titles = [one.title for one in (await chat.list_sessions("ann")).items]
    assert titles == ["1", "4", "3", "2"]
    # A moment after it was noted, a record that is not there may be on its way; later it is taken out.
    index = chat._calls.ledger.index(b"ann")
    assert await client.ask("ZCARD", index) == 5
    await client.ask("ZADD", index, 1, sessions[0].id)
    await chat.list_sessions("ann")
    assert await client.ask("ZCARD", index) == 4


async def test_a_session_is_in_the_index_before_it_is_there(chat, monkeypatch):
    async def dies(*_):
        raise UnavailableError("by the test's order")

    monkeypatch.setattr(chat, "_execute", dies)
    command = CreateSession(user_id="ann", session_id="s")
    with pytest.raises(UnavailableError):
        await chat.write(command, marked("s"))
    monkeypatch.undo()
    await chat._execute(command, None)  # as a node does it that only did not answer in time
    assert [one.id for one in (await chat.list_sessions("ann")).items] == ["s"]
    [mark] = await chat.journal.marks_of("ann")
    assert mark.is_leased(utc_now())


@pytest.mark.parametrize("layout", ["hash", "openai-agents", "vercel-kv", "langchain-redis", "redisvl"])
def test_a_layout_whose_sessions_lie_in_several_slots_is_refused(redis_cluster, layout):
    with pytest.raises(UnsupportedError, match="several keys"):
        RedisChat(connect(redis_cluster.url), chat_layout(layout))


async def test_records_whose_ids_have_braces_or_share_a_tag_are_kept_apart(chat, documents, redis_cluster, scanned):
    names = ["{tag}a", "{tag}b", "}{", "{}", "a}b", "{a", "x{y}z", "{{x}}", "*[a]?", "a:b"]
    for name in names:
        await chat.create_session("ann", session_id=name)
        await chat.append("ann", name, NewMessage("user", f"of {name}"))
    await documents.upsert("ann", [NewDocument(f"of {name}", id=name, embedding=VECTOR) for name in names])
    for name in names:
        [message] = await chat.messages("ann", name)
        assert message.content == f"of {name}"
        assert (await documents.get("ann", name)).text == f"of {name}"
        place = documents._layout.key(name.encode())
        assert slot_of(documents._calls.ledger.of("state", name.encode())) == slot_of(place)
    changes, bad = await scanned(chat)
    assert ({change.session_id for change in changes}, bad) == (set(names), [])
    changes, bad = await scanned(documents)
    assert ({change.key.id for change in changes}, bad) == (set(names), [])
    await documents.delete("ann", names)
    assert await documents.count() == 0


def upserting(*names):
    documents = tuple(NewDocument("x", id=name, embedding=VECTOR) for name in names)
    return UpsertDocuments(user_id="ann", documents=documents)

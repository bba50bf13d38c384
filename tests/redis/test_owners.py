"""Whose a session is that the layout does not say: by the mapping, by who made it, or nobody's, and never two users'."""

import pytest

from chatstore.errors import ChatStoreError, ConflictError, LayoutError, NotFoundError
from chatstore.models import AppendMessages, CreateSession, DeleteSession, NewMessage, Side
from chatstore.ownership import FunctionOwners, MappedOwners, TemplateOwners
from chatstore.redis import RedisChat, chat_layout
from chatstore.testing import MemoryChat
from tests.e2e.langchain_app import item


@pytest.fixture
async def opened(client):
    """A function that opens the chats of LangChain with a mapping of owners."""
    stores = []

    def open_chat(owners):
        stores.append(RedisChat(client, chat_layout("langchain", owners=owners)))
        return stores[-1]

    yield open_chat
    for store in stores:
        await store.close()


@pytest.fixture
def chat(opened):
    return opened(TemplateOwners("message_store:{user}:*"))


def said(user, session_id, text="mine"):
    return AppendMessages(user_id=user, session_id=session_id, messages=(NewMessage("user", text),))


async def contents(store, user, session_id):
    return [message.content for message in await store.messages(user, session_id)]


async def test_a_session_that_a_user_makes_is_his_whatever_its_id_but_none_that_the_mapping_gives_to_another(chat):
    for name in ("9f1c", "ana:1"):
        await chat.write(CreateSession(user_id="ana", session_id=name))
        await chat.write(said("ana", name))
        assert await contents(chat, "ana", name) == ["mine"]
        with pytest.raises(NotFoundError):
            await chat.messages("ben", name)
    with pytest.raises(ConflictError, match="CHATSTORE_OWNERS"):
        await chat.write(CreateSession(user_id="ana", session_id="ben:1"))
    assert [session.id for session in (await chat.list_sessions("ana")).items] == ["ana:1", "9f1c"]
    assert (await chat.list_sessions("ben")).items == ()


async def test_nobodys_conversation_is_given_to_no_one(client, chat):
    await client.lpush("message_store:nobodys", item("human", "a secret"))
    for refused in (
        chat.messages("ana", "nobodys"),
        chat.get_session("ana", "nobodys"),
        chat.write(CreateSession(user_id="ana", session_id="nobodys")),
        chat.write(said("ana", "nobodys")),
        chat.write(DeleteSession(user_id="ana", session_id="nobodys")),
    ):
        with pytest.raises((NotFoundError, ConflictError, LayoutError)) as caught:
            await refused
        assert "secret" not in str(caught.value)
    new = MemoryChat(Side.NEW)
    made = (await new.write(CreateSession(user_id="ana", session_id="nobodys"))).change
    grown = (await new.write(said("ana", "nobodys"))).change
    for change in (made, grown):
        with pytest.raises(ConflictError):
            await chat.put([change])
    assert (await chat.list_sessions("ana")).items == ()
    assert await client.lrange("message_store:nobodys", 0, -1) == [item("human", "a secret").encode()]
    [kept] = [record async for page in chat.scan() for record in page.quarantined]
    assert (kept.key, kept.raw) == ("message_store:nobodys", item("human", "a secret").encode())


async def test_a_session_that_the_mapping_gives_to_another_is_taken_from_no_one_by_a_join(client, chat):
    await client.lpush("message_store:ben:1", item("human", "bens"))
    new = MemoryChat(Side.NEW)
    made = (await new.write(CreateSession(user_id="ana", session_id="ben:1"))).change
    never_there = (await new.write(CreateSession(user_id="ana", session_id="ben:2"))).change
    for change in (made, never_there):
        with pytest.raises(ConflictError):
            await chat.put([change])
    assert await contents(chat, "ben", "ben:1") == ["bens"]
    assert not await client.exists("message_store:ben:2")


async def test_a_mapping_that_is_completed_later_gives_the_conversation_to_its_user(client, opened):
    await client.lpush("message_store:s1", item("human", "hello"))
    before = opened(MappedOwners({"message_store:other": "ana"}))
    assert [page.quarantined[0].key async for page in before.scan() if page.quarantined] == ["message_store:s1"]
    after = opened(MappedOwners({"message_store:s1": "ana"}))
    assert await contents(after, "ana", "s1") == ["hello"]
    assert [change.user_id async for page in after.scan() for change in page.changes] == ["ana"]


@pytest.mark.parametrize(
    "key", [b"ana:\xff", "caf\u00e9:1".encode(), b"ana:\r\n1", b'ana:"1"', b"ana:{1}", b":1", b"ana:"]
)
async def test_a_key_of_any_bytes_is_its_users_or_nobodys(client, chat, key):
    await client.lpush(b"message_store:" + key, item("human", "hello"))
    await client.lpush(b"message_store:ana:0", item("human", "a neighbour"))
    changes = [change async for page in chat.scan() for change in page.changes]
    bad = [record async for page in chat.scan() for record in page.quarantined]
    assert len(changes) + len(bad) == 2
    for change in changes:
        assert change.session_id.startswith(f"{change.user_id}:")
        assert len(change.messages) == 1


async def test_a_function_that_fails_for_one_key_holds_up_no_other(client, opened, caplog):
    def owner_of(key):
        return {"message_store:s1": "ana", "message_store:s2": 42, "message_store:s3": ""}[key]

    for number in range(1, 5):
        await client.lpush(f"message_store:s{number}", item("human", "hello"))
    chat = opened(FunctionOwners(owner_of))
    pages = [page async for page in chat.scan()]
    assert [change.session_id for page in pages for change in page.changes] == ["s1"]
    assert sorted(record.key for page in pages for record in page.quarantined) == [
        f"message_store:s{number}" for number in (2, 3, 4)
    ]
    assert all(text in caplog.text for text in ("KeyError", "returned a int", "cannot be an id"))
    with pytest.raises(ChatStoreError):
        await chat.messages("ana", "s4")

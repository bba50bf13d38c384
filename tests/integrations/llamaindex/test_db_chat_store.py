"""`ChatstoreDBChatStore` keeps what LlamaIndex's `AsyncDBChatStore` promises; `Memory` works over it."""

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.memory import Memory
from llama_index.core.storage.chat_store.base_db import MessageStatus

import chatstore
from chatstore.integrations.llamaindex import ChatstoreChatStore, ChatstoreDBChatStore
from chatstore.models import Side
from chatstore.testing import MemoryChat
from tests.integrations.llamaindex.messages import MESSAGES, texts

ONE, TWO, THREE = (ChatMessage(text, role="user") for text in ("One", "Two", "Three"))
ARCHIVED = MessageStatus.ARCHIVED


@pytest.fixture
def chat():
    return MemoryChat(Side.OLD)


@pytest.fixture
def store(chat):
    return ChatstoreDBChatStore(chat, user_id="u1")


async def test_messages_of_every_kind_come_back_as_they_were(store):
    await store.add_messages("s1", list(MESSAGES.values()))
    assert texts(await store.get_messages("s1")) == texts(MESSAGES.values())


async def test_archived_messages_stay_in_their_place_and_are_given_when_asked_for(store):
    await store.add_messages("s1", [ONE, TWO, THREE])
    assert await store.archive_oldest_messages("s1", 2) == [ONE, TWO]
    assert await store.get_messages("s1") == [THREE]
    assert await store.get_messages("s1", status=ARCHIVED) == [ONE, TWO]
    assert await store.get_messages("s1", status=None) == [ONE, TWO, THREE]
    await store.add_message("s1", ONE, status=ARCHIVED)
    assert [await store.count_messages("s1", status=status) for status in (MessageStatus.ACTIVE, ARCHIVED, None)] == [
        1,
        3,
        4,
    ]
    assert await store.archive_oldest_messages("s1", 9) == [THREE]
    assert await store.archive_oldest_messages("s1", 1) == []


async def test_an_archived_message_keeps_the_apps_metadata(store, chat):
    await store.add_message("s1", ONE)
    [message] = await chat.messages("u1", "s1")
    await chat.edit_message("u1", "s1", message.id, metadata={"from": "the web"})
    await store.archive_oldest_messages("s1", 1)
    [message] = await chat.messages("u1", "s1")
    assert message.metadata == {"from": "the web", "llama_index_status": "archived"}


async def test_a_part_of_the_messages_is_given(store):
    await store.add_messages("s1", [ONE, TWO, THREE])
    assert await store.get_messages("s1", limit=1, offset=1) == [TWO]
    assert await store.get_messages("s1", offset=1) == [TWO, THREE]
    assert await store.get_messages("s1", limit=0) == []
    with pytest.raises(chatstore.InvalidRecordError, match="negative"):
        await store.get_messages("s1", limit=-1)


async def test_messages_are_deleted_by_place_age_and_status(store):
    await store.add_messages("s1", [ONE, TWO, THREE, ONE])
    await store.archive_oldest_messages("s1", 1)
    assert await store.delete_oldest_messages("s1", 1) == [TWO]
    assert await store.delete_message("s1", 1) == THREE
    await store.delete_messages("s1", status=ARCHIVED)
    assert await store.get_messages("s1", status=None) == [ONE]
    await store.delete_messages("s1")
    assert await store.count_messages("s1", status=None) == 0
    assert await store.get_keys() == ["s1"]


async def test_messages_that_are_set_stand_for_all_that_were_there(store):
    await store.add_messages("s1", [ONE, TWO])
    await store.archive_oldest_messages("s1", 1)
    await store.set_messages("s1", [THREE])
    assert await store.get_messages("s1", status=None) == [THREE]


async def test_a_session_that_is_not_there_is_empty(store):
    assert await store.get_messages("s1") == await store.delete_oldest_messages("s1", 1) == []
    assert await store.archive_oldest_messages("s1", 1) == []
    assert await store.count_messages("s1", status=None) == await store.count_messages("s1") == 0
    await store.delete_messages("s1")
    await store.add_messages("s1", [])
    assert await store.get_keys() == []


async def test_a_memory_that_overflows_archives_and_remembers(store):
    def memory():
        return Memory.from_defaults(
            session_id="s1",
            chat_store=store,
            token_limit=40,
            chat_history_token_ratio=0.5,
            token_flush_size=10,
            tokenizer_fn=str.split,
        )

    said = [ChatMessage(f"question {n} of five words", role="user") for n in range(8)]
    for message in said:
        await memory().aput(message)
    assert await memory().aget_all() == said
    kept = await memory().aget()
    assert kept == said[-len(kept) :]
    assert await store.get_messages("s1", status=ARCHIVED) == said[: -len(kept)]
    assert 0 < len(kept) < len(said)


async def test_both_interfaces_are_of_the_same_sessions(store, chat):
    await store.add_messages("s1", [ONE, TWO])
    assert await ChatstoreChatStore(chat, user_id="u1").aget_messages("s1") == [ONE, TWO]

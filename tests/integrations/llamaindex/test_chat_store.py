"""`ChatstoreChatStore` keeps what LlamaIndex's `BaseChatStore` promises, blocking and async, over a store in memory."""

import asyncio

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.schema import ImageDocument

import chatstore
from chatstore.integrations.llamaindex import ChatstoreChatStore
from chatstore.models import Side, Stage
from chatstore.settings import load_settings
from chatstore.testing import MemoryChat
from tests.integrations.llamaindex.messages import MESSAGES, texts
from tests.routing.pair import chat_pair

ONE, TWO, THREE = (ChatMessage(text, role="user") for text in ("One", "Two", "Three"))
ASYNC = {"add_message": "async_add_message"}


@pytest.fixture
def chat():
    return MemoryChat(Side.OLD)


@pytest.fixture(params=["async", "blocking"])
def call(request, chat):
    """A function that calls a method of the store by its blocking name, in the one way or in the other."""
    store = ChatstoreChatStore(chat, user_id="u1")

    async def through(name, *args):
        if request.param == "async":
            return await getattr(store, ASYNC.get(name, f"a{name}"))(*args)
        await store.aget_keys()  # so that it knows the loop
        return await asyncio.to_thread(getattr(store, name), *args)

    return through


async def test_messages_of_every_kind_come_back_as_they_were(call):
    messages = list(MESSAGES.values())
    await call("set_messages", "s1", messages)
    await call("add_message", "s1", messages[0])
    assert texts(await call("get_messages", "s1")) == texts([*messages, messages[0]])


async def test_messages_that_are_set_stand_for_all_that_were_there(call):
    await call("set_messages", "s1", [ONE, TWO])
    await call("set_messages", "s1", [THREE])
    assert await call("get_messages", "s1") == [THREE]
    await call("set_messages", "s1", [])
    assert await call("get_messages", "s1") == []


async def test_what_is_deleted_is_given_once(call):
    await call("set_messages", "s1", [ONE, TWO, THREE, ONE])
    assert await call("delete_message", "s1", 1) == TWO
    assert await call("delete_message", "s1", -2) == THREE
    assert await call("delete_last_message", "s1") == ONE
    assert await call("delete_message", "s1", 5) is None
    assert await call("delete_message", "s1", -2) is None
    assert await call("delete_messages", "s1") == [ONE]
    assert await call("get_messages", "s1") == []
    assert await call("delete_last_message", "s1") is None


async def test_a_session_that_is_not_there_is_empty(call):
    assert await call("get_messages", "s1") == []
    assert await call("delete_messages", "s1") is None
    assert await call("delete_message", "s1", 0) is None
    assert await call("delete_last_message", "s1") is None
    await call("set_messages", "s1", [])
    assert await call("get_keys") == []


async def test_the_keys_are_the_users_sessions(call, chat):
    for number in range(3):
        await call("add_message", f"s{number}", ONE)
    await chat.create_session("u2", session_id="theirs")
    assert sorted(await call("get_keys")) == ["s0", "s1", "s2"]


async def test_the_title_of_a_session_stays(call, chat):
    await chat.create_session("u1", session_id="s1", title="An order")
    await call("set_messages", "s1", [ONE])
    await call("delete_messages", "s1")
    assert (await chat.get_session("u1", "s1")).title == "An order"


async def test_another_users_session_is_not_seen_and_not_written(chat, call):
    await chat.create_session("u2", session_id="s1")
    assert await call("get_messages", "s1") == []
    for name in ("add_message", "set_messages"):
        with pytest.raises(chatstore.ConflictError):
            await call(name, "s1", ONE if name == "add_message" else [ONE])


async def test_a_message_that_two_delete_at_once_goes_to_one_of_them(chat):
    store = ChatstoreChatStore(chat, user_id="u1")
    await store.aset_messages("s1", [ONE, TWO, THREE])
    taken = await asyncio.gather(*(store.adelete_message("s1", 0) for _ in range(5)))
    assert sorted(message.content for message in taken if message) == ["One", "Three", "Two"]


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("a text", "give LlamaIndex's `ChatMessage`"),
        (ChatMessage("x", additional_kwargs={"what": object()}), "cannot be kept"),
        (ChatMessage("x", additional_kwargs={"what": float("nan")}), "would not be the same"),
        (ChatMessage("x", additional_kwargs={"images": [ImageDocument(image=b"png")]}), "cannot be kept"),
        (ChatMessage("\ud800"), "cannot be kept"),
    ],
)
async def test_what_would_not_come_back_is_refused(chat, message, says):
    store = ChatstoreChatStore(chat, user_id="u1")
    await store.aset_messages("s1", [ONE])
    with pytest.raises(chatstore.InvalidRecordError, match=says):
        await store.aset_messages("s1", [TWO, message])
    assert await store.aget_messages("s1") == [ONE]


async def test_what_llamaindex_has_no_message_for_is_told(chat):
    store = ChatstoreChatStore(chat, user_id="u1")
    await chat.create_session("u1", session_id="s1")
    await chat.append(
        "u1", "s1", [chatstore.NewMessage("user", "Hello"), chatstore.NewMessage("moderator", "Stop", id="m2")]
    )
    with pytest.raises(chatstore.UnsupportedError, match="'m2' of the session 's1', of the role 'moderator'"):
        await store.aget_messages("s1")
    await chat.pop_message("u1", "s1")
    assert await store.aget_messages("s1") == [ChatMessage("Hello", role="user")]


async def test_a_memory_remembers_at_every_stage():
    router, flags = await chat_pair()
    store = ChatstoreChatStore(router, user_id="u1")
    said = []
    for stage in Stage:
        flags.set(stage)
        memory = ChatMemoryBuffer.from_defaults(chat_store=store, chat_store_key="s1", tokenizer_fn=str.split)
        said.append(ChatMessage(stage.value, role="user"))
        await memory.aput(said[-1])
        assert await memory.aget() == said
    await memory.areset()
    assert await memory.aget_all() == []
    await router.close()


def test_a_blocking_memory_remembers(redis_database):
    with chatstore.open_blocking(load_settings(redis_url=redis_database)) as stores:
        for said in ([ONE], [ONE, TWO]):
            store = ChatstoreChatStore(stores.chat, user_id="u1")
            memory = ChatMemoryBuffer.from_defaults(chat_store=store, chat_store_key="s1", tokenizer_fn=str.split)
            memory.put(said[-1])
            assert memory.get() == said


async def test_a_blocking_call_in_the_stores_own_loop_is_refused(chat):
    store = ChatstoreChatStore(chat, user_id="u1")
    with pytest.raises(chatstore.UnsupportedError, match="await the async method"):
        store.get_messages("s1")


def test_a_store_of_nobody_is_refused(chat):
    with pytest.raises(chatstore.ConfigurationError, match="give `user_id`"):
        ChatstoreChatStore(chat)

"""Graphs that keep their state in chatstore: what LangGraph's own suite does not ask."""

import asyncio
import base64
import dataclasses
import json
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from chatstore.errors import ConfigurationError, ConflictError, InvalidRecordError, UnsupportedError
from chatstore.integrations.langgraph import ChatstoreSaver
from chatstore.models import Side, Stage
from chatstore.sync import BlockingStores
from chatstore.testing import MemoryChat
from tests.routing.pair import chat_pair

ANN, BEN = "ann", "ben"
THREAD = {"configurable": {"thread_id": "thread"}}


@dataclasses.dataclass
class Cart:
    items: list


class Shop(TypedDict):
    cart: Cart


@pytest.fixture
def chat():
    return MemoryChat(Side.OLD)


@pytest.fixture
def blocking(chat):
    @dataclasses.dataclass
    class Stores:
        chat: object

    @asynccontextmanager
    async def opened():
        yield Stores(chat)

    with BlockingStores(opened) as stores:
        yield stores.chat


def conversation(saver):
    def answer(state):
        return {"messages": [AIMessage(f"you said {len(state['messages'])} things")]}

    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    return builder.compile(checkpointer=saver)


def shop(saver):
    def ask(state):
        return {"cart": Cart([*state["cart"].items, interrupt("what else?")])}

    builder = StateGraph(Shop)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    return builder.compile(checkpointer=saver)


def said(state):
    return [message.content for message in state["messages"]]


def config(thread="thread", **more):
    return {"configurable": {"thread_id": thread, "checkpoint_ns": "", **more}}


async def put(saver, given):
    return await saver.aput(given, empty_checkpoint(), {"source": "loop", "step": 0, "parents": {}}, {})


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_a_conversation_goes_on_in_another_process(chat, durability):
    for text in ("one", "two"):
        graph = conversation(ChatstoreSaver(chat, user_id=ANN))
        held = await graph.ainvoke({"messages": [("user", text)]}, THREAD, durability=durability)
    assert said(held) == ["one", "you said 1 things", "two", "you said 3 things"]


async def test_a_run_that_was_interrupted_is_resumed_with_its_own_types(chat):
    saver = ChatstoreSaver(chat, user_id=ANN, allowed=[Cart])
    await shop(saver).ainvoke({"cart": Cart(["tea"])}, THREAD)
    held = await shop(saver).ainvoke(Command(resume="cake"), THREAD)
    assert held["cart"] == Cart(["tea", "cake"])


async def test_time_travel_forks_a_thread(chat):
    graph = conversation(ChatstoreSaver(chat, user_id=ANN))
    for text in ("one", "two"):
        await graph.ainvoke({"messages": [("user", text)]}, THREAD)
    states = [state async for state in graph.aget_state_history(THREAD)]
    past = next(state for state in states if len(state.values.get("messages", [])) == 2)
    held = await graph.ainvoke({"messages": [("user", "other")]}, past.config)
    assert said(held) == ["one", "you said 1 things", "other", "you said 3 things"]
    assert said((await graph.aget_state(THREAD)).values) == said(held)


async def test_a_subgraph_keeps_its_own_state_and_goes_with_its_thread(chat):
    saver = ChatstoreSaver(chat, user_id=ANN)
    inner = conversation(True)
    builder = StateGraph(MessagesState)
    builder.add_node("inner", inner)
    builder.add_edge(START, "inner")
    graph = builder.compile(checkpointer=saver)
    await graph.ainvoke({"messages": [("user", "one")]}, THREAD)
    namespaces = {
        found.config["configurable"]["checkpoint_ns"]
        async for found in saver.alist({"configurable": {"thread_id": "thread"}})
    }
    assert any(namespace.startswith("inner") for namespace in namespaces)
    assert "" in namespaces
    await saver.adelete_thread("thread")
    assert (await chat.list_sessions(ANN)).items == ()


async def test_blocking_graphs_run_over_the_blocking_facade(blocking):
    graph = conversation(ChatstoreSaver(blocking, user_id=ANN))
    for text in ("one", "two"):
        held = graph.invoke({"messages": [("user", text)]}, THREAD)
    assert said(held) == ["one", "you said 1 things", "two", "you said 3 things"]
    assert len(list(graph.get_state_history(THREAD))) == 6
    graph.checkpointer.copy_thread("thread", "copy")
    graph.checkpointer.prune(["thread"])
    assert len(list(graph.get_state_history(THREAD))) == 1
    graph.checkpointer.delete_for_runs(["no such run"])
    graph.checkpointer.delete_thread("thread")
    assert graph.get_state(THREAD).values == {}
    assert said(graph.get_state(config("copy")).values) == said(held)


async def test_async_methods_work_over_the_blocking_facade_too(blocking):
    graph = conversation(ChatstoreSaver(blocking, user_id=ANN))
    await graph.ainvoke({"messages": [("user", "one")]}, THREAD)
    assert said((await graph.aget_state(THREAD)).values) == ["one", "you said 1 things"]


def test_blocking_methods_over_an_async_store_say_what_to_do(chat):
    with pytest.raises(UnsupportedError, match="open_blocking"):
        ChatstoreSaver(chat, user_id=ANN).get_tuple(THREAD)


async def test_blocking_methods_reach_an_async_store_from_other_threads_alone(chat):
    graph = conversation(ChatstoreSaver(chat, user_id=ANN))
    held = await asyncio.to_thread(graph.invoke, {"messages": [("user", "one")]}, THREAD)
    assert said(held) == said((await graph.aget_state(THREAD)).values)
    with pytest.raises(UnsupportedError, match="await"):
        graph.get_state(THREAD)


async def test_no_user_sees_or_takes_anothers_thread(chat):
    stored = await put(ChatstoreSaver(chat, user_id=ANN), config())
    other = ChatstoreSaver(chat, user_id=BEN)
    assert await other.aget_tuple(stored) is None
    assert [found async for found in other.alist(None)] == []
    await other.adelete_thread("thread")
    for write in (put(other, config()), other.aput_writes(stored, [("channel", 1)], "task")):
        with pytest.raises(ConflictError):
            await write
    found = await ChatstoreSaver(chat, user_id=ANN).aget_tuple(config())
    assert found.config == stored
    assert found.pending_writes == []


async def test_one_graph_serves_many_users(chat):
    saver = ChatstoreSaver(chat, user_key="user_id")
    graph = conversation(saver)
    for user in (ANN, BEN):
        await graph.ainvoke({"messages": [("user", user)]}, config(user, user_id=user))
    assert said((await graph.aget_state(config(BEN, user_id=BEN))).values)[0] == BEN
    assert (await graph.aget_state(config(BEN, user_id=ANN))).values == {}
    past = [state async for state in graph.aget_state_history(config(ANN, user_id=ANN))][-2]
    assert past.config["configurable"]["user_id"] == ANN
    await saver.for_user(ANN).adelete_thread(ANN)
    assert (await graph.aget_state(config(ANN, user_id=ANN))).values == {}


async def test_who_it_is_for_is_said_once(chat):
    saver = ChatstoreSaver(chat, user_key="user_id")
    with pytest.raises(ConfigurationError, match="user_id"):
        await saver.aget_tuple(config())
    with pytest.raises(UnsupportedError, match="for_user"):
        await saver.adelete_thread("thread")
    for twice in ({"user_id": ANN, "user_key": "user_id"}, {}):
        with pytest.raises(ConfigurationError):
            ChatstoreSaver(chat, **twice)
    with pytest.raises(ConfigurationError, match="already"):
        saver.for_user(ANN).for_user(BEN)


async def test_a_write_that_comes_before_its_checkpoint_is_found(chat):
    saver = ChatstoreSaver(chat, user_id=ANN)
    first = await put(saver, config())
    checkpoint = empty_checkpoint()
    early = config(checkpoint_id=checkpoint["id"])
    await saver.aput_writes(early, [("channel", "early")], "task")
    await put(saver, config())
    await saver.aput(first, checkpoint, {"source": "loop", "step": 1, "parents": {}}, {})
    assert (await saver.aget_tuple(early)).pending_writes == [("task", "channel", "early")]


async def test_the_last_checkpoint_is_found_without_reading_all(chat, monkeypatch):
    saver = ChatstoreSaver(chat, user_id=ANN)
    for _ in range(50):
        stored = await put(saver, config())
    for message in await chat.messages(ANN, "thread/langgraph"):  # as if each was made long before the next one
        chat._states["thread/langgraph"].messages[message.id] = dataclasses.replace(
            message, created_at=message.created_at - timedelta(hours=50 - message.position)
        )
    read, last_messages = [], chat.last_messages

    async def counted(*args, **kwargs):
        read.extend(page := await last_messages(*args, **kwargs))
        return page

    monkeypatch.setattr(chat, "last_messages", counted)
    assert (await saver.aget_tuple(config())).config == stored
    assert len(read) < 15


async def test_writes_are_in_the_order_of_their_tasks(chat):
    saver = ChatstoreSaver(chat, user_id=ANN)
    stored = await put(saver, config())
    await saver.aput_writes(stored, [("b", 1), ("b", 2)], "task-1", "path-2")
    await saver.aput_writes(stored, [("a", 3)], "task-2", "path-1")
    assert [write[2] for write in (await saver.aget_tuple(stored)).pending_writes] == [3, 1, 2]


async def test_a_write_stays_and_an_interrupt_is_replaced(chat):
    saver = ChatstoreSaver(chat, user_id=ANN)
    stored = await put(saver, config())
    for value in ("first", "second"):
        await saver.aput_writes(stored, [("channel", value), ("__interrupt__", value)], "task")
    writes = (await saver.aget_tuple(stored)).pending_writes
    assert sorted(write[2] for write in writes) == ["first", "second"]
    assert ("task", "channel", "first") in writes


async def test_a_type_that_is_not_allowed_is_refused_and_stays(chat):
    await shop(ChatstoreSaver(chat, user_id=ANN)).ainvoke({"cart": Cart(["tea"])}, THREAD)
    with pytest.raises(ConfigurationError, match=r"Cart.*allowed="):
        await ChatstoreSaver(chat, user_id=ANN).aget_tuple(THREAD)
    found = await ChatstoreSaver(chat, user_id=ANN, allowed=[Cart]).aget_tuple(THREAD)
    assert found.pending_writes


async def test_langgraph_may_tell_a_savers_types(chat):
    saver = ChatstoreSaver(chat, user_id=ANN)
    await shop(saver).ainvoke({"cart": Cart(["tea"])}, THREAD)
    told = saver.with_allowlist({(Cart.__module__, "Cart")})  # as it does with LANGGRAPH_STRICT_MSGPACK
    assert (await shop(told).aget_state(THREAD)).values == {"cart": Cart(["tea"])}


async def test_what_is_encrypted_is_read_by_nobody_else(chat):
    class Xor:
        def encrypt(self, plaintext):
            return "xor", bytes(byte ^ 0x5A for byte in plaintext)

        def decrypt(self, ciphername, ciphertext):
            assert ciphername == "xor"
            return bytes(byte ^ 0x5A for byte in ciphertext)

    encrypted = EncryptedSerializer(Xor(), JsonPlusSerializer(allowed_msgpack_modules=None))
    graph = conversation(ChatstoreSaver(chat, user_id=ANN, serde=encrypted))
    await graph.ainvoke({"messages": [("user", "where is my order?")]}, THREAD)
    assert said((await graph.aget_state(THREAD)).values) == ["where is my order?", "you said 1 things"]
    values = [json.loads(message.content) for message in await chat.messages(ANN, "thread/langgraph")]
    held = [base64.b64decode(part[1]) for value in values for part in value.values() if isinstance(part, list)]
    assert held
    assert not any(b"order" in data for data in held)


@pytest.mark.parametrize("kind", ["pickle", "json"])
async def test_what_would_run_code_is_not_read(chat, kind):
    saver = ChatstoreSaver(chat, user_id=ANN)
    await put(saver, config())
    [message] = await chat.messages(ANN, "thread/langgraph")
    forged = message.content.replace('"msgpack"', f'"{kind}"')
    await chat.edit_message(ANN, "thread/langgraph", message.id, content=forged)
    with pytest.raises(InvalidRecordError, match=kind):
        await saver.aget_tuple(config())


def test_a_serializer_that_unpickles_is_refused(chat):
    unsafe = JsonPlusSerializer(pickle_fallback=True)
    for serde in (unsafe, EncryptedSerializer(None, unsafe)):
        with pytest.raises(ConfigurationError, match="pickle_fallback"):
            ChatstoreSaver(chat, user_id=ANN, serde=serde)
    with pytest.raises(ConfigurationError, match="allowed"):
        ChatstoreSaver(chat, user_id=ANN, serde=JsonPlusSerializer(), allowed=[Cart])


async def test_what_no_message_can_hold_is_refused(chat):
    saver = ChatstoreSaver(chat, user_id=ANN)
    for given in (config("\ud800"), config(checkpoint_id="\ud800"), config(""), {"configurable": {}}):
        with pytest.raises(InvalidRecordError):
            await put(saver, given)
    with pytest.raises(InvalidRecordError, match="checkpoint_id"):
        await saver.aput_writes(config(), [("channel", 1)], "task")
    with pytest.raises(InvalidRecordError, match="strategy"):
        await saver.aprune(["thread"], strategy="keep_some")


async def test_a_message_that_is_no_checkpoint_is_told(chat):
    saver = ChatstoreSaver(chat, user_id=ANN)
    await put(saver, config())
    [message] = await chat.messages(ANN, "thread/langgraph")
    await chat.edit_message(ANN, "thread/langgraph", message.id, content="{}")
    with pytest.raises(InvalidRecordError, match="no checkpoint"):
        await saver.aget_tuple(config())


async def test_a_filter_compares_values_and_is_no_query(chat):
    saver = ChatstoreSaver(chat, user_id=ANN)
    await put(saver, config())
    for wanted in ({"step') OR 1=1 --": 0}, {"step": {"$ne": 1}}, {"absent": None}):
        assert [found async for found in saver.alist(None, filter=wanted)] == []
    assert len([found async for found in saver.alist(None, filter={"step": 0})]) == 1


async def test_a_thread_of_differences_is_not_pruned(chat):
    saver = ChatstoreSaver(chat, user_id=ANN)
    await put(saver, config())
    await saver.aput(config(), empty_checkpoint(), {"counters_since_delta_snapshot": {"messages": (1, 1)}}, {})
    with pytest.raises(UnsupportedError, match="DeltaChannel"):
        await saver.aprune(["thread"])
    assert len([found async for found in saver.alist(config())]) == 2


async def test_threads_go_over_to_the_new_side():
    chat, flags = await chat_pair(Stage.DUALWRITE)
    graph = conversation(ChatstoreSaver(chat, user_id=ANN))
    await graph.ainvoke({"messages": [("user", "one")]}, THREAD)
    flags.set(Stage.LIVE)
    await graph.ainvoke({"messages": [("user", "two")]}, THREAD)
    flags.set(Stage.OFF)
    held = (await graph.aget_state(THREAD)).values
    assert said(held) == ["one", "you said 1 things", "two", "you said 3 things"]
    await chat.close()

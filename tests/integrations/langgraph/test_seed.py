"""Histories that were there before become threads that a graph goes on with."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
import redis
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage, message_to_dict
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

import chatstore
from chatstore import NewMessage
from chatstore.errors import ConfigurationError
from chatstore.integrations.langchain import ChatstoreHistory
from chatstore.integrations.langgraph import ChatstoreSaver
from chatstore.integrations.langgraph.seed import config_of, seed_threads
from chatstore.models import Side, Stage
from chatstore.settings import load_settings
from chatstore.testing import MemoryChat

ANN, BEN = "ann", "ben"
KINDS = [
    SystemMessage("Be brief.", id="1"),
    HumanMessage("Where is my order?", id="2"),
    AIMessage("", id="3", tool_calls=[{"name": "track", "args": {"order": 7}, "id": "call-1", "type": "tool_call"}]),
    ToolMessage("on its way", id="4", tool_call_id="call-1", artifact={"km": 12}),
    AIMessage([{"type": "text", "text": "It is on its way."}], id="5"),
]


def graph_with(saver, state=MessagesState):
    async def answer(state):
        return {"messages": [AIMessage(f"you said {len(state['messages'])} things")]}

    builder = StateGraph(state)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    return builder.compile(checkpointer=saver)


@pytest.fixture
def chat():
    return MemoryChat(Side.OLD)


@pytest.fixture(params=["chatstore", "langgraph"])
def saver(request, chat):
    return ChatstoreSaver(chat, user_key="user_id") if request.param == "chatstore" else InMemorySaver()


async def say(chat, user, session, *texts):
    await chat.create_session(user, session_id=session)
    await chat.append(user, session, [NewMessage("user", text, id=f"{session}:{text}") for text in texts])
    return await chat.get_session(user, session)


async def messages_in(graph, session):
    return (await graph.aget_state(config_of(session))).values["messages"]


async def test_a_graph_goes_on_with_a_history(chat, saver):
    graph = graph_with(saver)
    session = await say(chat, ANN, "s1", "one", "two")
    assert (await seed_threads(chat, graph, [ANN])).threads == 1
    await graph.ainvoke({"messages": [("user", "three")]}, config_of(session))
    held = await messages_in(graph, session)
    assert [message.content for message in held] == ["one", "two", "three", "you said 3 things"]
    assert [message.id for message in held[:2]] == ["s1:one", "s1:two"]


async def test_all_kinds_of_messages_are_as_langchain_wrote_them(chat, saver):
    await ChatstoreHistory("s1", chat=chat, user_id=ANN).aadd_messages(KINDS)
    assert (await seed_threads(chat, saver, [ANN])).refused == ()
    session = await chat.get_session(ANN, "s1")
    assert await messages_in(graph_with(saver), session) == KINDS


async def test_calls_of_tools_as_openai_spells_them_are_calls(chat, saver):
    session = await say(chat, ANN, "s1", "Where is my order?")
    call = {"id": "call-1", "type": "function", "function": {"name": "track", "arguments": '{"order": 7}'}}
    asked = NewMessage("assistant", "", extra={"tool_calls": [call]})
    await chat.append(ANN, "s1", [asked, NewMessage("tool", "on its way", extra={"tool_call_id": "call-1"})])
    assert (await seed_threads(chat, saver, [ANN])).refused == ()
    _, ai, tool = await messages_in(graph_with(saver), session)
    assert ai.tool_calls == [{"name": "track", "args": {"order": 7}, "id": "call-1", "type": "tool_call"}]
    assert tool.tool_call_id == "call-1"


async def test_messages_with_one_id_are_two(chat, saver):
    twice = [HumanMessage("yes", id="1"), HumanMessage("yes", id="1")]
    await ChatstoreHistory("s1", chat=chat, user_id=ANN).aadd_messages(twice)
    await seed_threads(chat, saver, [ANN])
    held = await messages_in(graph_with(saver), await chat.get_session(ANN, "s1"))
    assert len({message.id for message in held}) == 2


async def test_seeding_again_changes_nothing(chat, saver):
    session = await say(chat, ANN, "s1", "one")
    await seed_threads(chat, saver, [ANN])
    seeded = await seed_threads(chat, saver, [ANN])
    assert (seeded.threads, seeded.present) == (0, 1)
    assert len([found async for found in saver.alist(config_of(session))]) == 1


async def test_a_history_that_grew_is_seeded_again(chat, saver):
    session = await say(chat, ANN, "s1", "one")
    await seed_threads(chat, saver, [ANN])
    await chat.append(ANN, "s1", NewMessage("user", "two"))
    assert (await seed_threads(chat, saver, [ANN])).threads == 1
    assert [message.content for message in await messages_in(graph_with(saver), session)] == ["one", "two"]


@pytest.mark.parametrize("year", [1, 9999])
async def test_a_message_of_any_time_is_seeded(chat, saver, year):
    session = await say(chat, ANN, "s1", "one")
    await chat.append(ANN, "s1", NewMessage("user", "two", created_at=datetime(year, 6, 1, tzinfo=UTC)))
    await seed_threads(chat, saver, [ANN])
    await graph_with(saver).ainvoke({"messages": [("user", "three")]}, config_of(session))
    held = await messages_in(graph_with(saver), session)
    assert [message.content for message in held] == ["one", "two", "three", "you said 3 things"]


async def test_a_thread_that_a_graph_has_written_to_is_left_alone(chat, saver):
    graph = graph_with(saver)
    session = await say(chat, ANN, "s1", "one")
    await graph.ainvoke({"messages": [("user", "hello")]}, config_of(session))
    assert (await seed_threads(chat, graph, [ANN])).present == 1
    assert [message.content for message in await messages_in(graph, session)] == ["hello", "you said 1 things"]


async def test_it_goes_on_where_it_was_stopped(chat, saver, monkeypatch):
    for number in range(3):
        await say(chat, ANN, f"s{number}", "one")
    put, calls = type(saver).aput, []

    async def at_most_once(self, *args):
        calls.append(args)
        if len(calls) == 2:
            raise ConnectionResetError
        return await put(self, *args)

    monkeypatch.setattr(type(saver), "aput", at_most_once)
    with pytest.raises(ConnectionResetError):
        await seed_threads(chat, saver, [ANN])
    monkeypatch.undo()
    seeded = await seed_threads(chat, saver, [ANN])
    assert (seeded.threads, seeded.present) == (2, 1)


async def test_what_langchain_cannot_hold_is_told_and_stops_nothing(chat, saver):
    await chat.create_session(ANN, session_id="odd")
    await chat.append(ANN, "odd", NewMessage("function", "hm"))  # without the name that LangChain wants
    await chat.create_session(ANN, session_id="empty")
    await say(chat, ANN, "s1", "one")
    seeded = await seed_threads(chat, saver, [ANN])
    assert (seeded.threads, seeded.empty) == (1, 1)
    [(session_id, reason)] = seeded.refused
    assert session_id == "odd"
    assert "function" in reason
    assert await saver.aget_tuple(config_of(await chat.get_session(ANN, "odd"))) is None


async def test_a_savers_own_threads_are_no_histories(chat):
    saver = ChatstoreSaver(chat, user_key="user_id")
    await say(chat, ANN, "s1", "one")
    await seed_threads(chat, saver, [ANN])
    assert (await seed_threads(chat, saver, [ANN])).present == 1


async def test_users_threads_stay_apart(chat):
    saver = ChatstoreSaver(chat, user_key="user_id")
    session = await say(chat, ANN, "s1", "one")
    await say(chat, BEN, "s2", "two")
    assert (await seed_threads(chat, saver, [ANN, BEN])).threads == 2
    config: Any = config_of(session)
    config["configurable"]["user_id"] = BEN
    assert await saver.aget_tuple(config) is None
    with pytest.raises(ConfigurationError, match="user_key"):
        await seed_threads(chat, ChatstoreSaver(chat, user_id=ANN), [BEN])


async def test_another_channel_takes_messages(chat, saver):
    class Turns(TypedDict):
        turns: Annotated[list, add_messages]

    builder = StateGraph(Turns)
    builder.add_node("nothing", lambda _: {})
    builder.add_edge(START, "nothing")
    graph = builder.compile(checkpointer=saver)
    session = await say(chat, ANN, "s1", "one")
    with pytest.raises(ConfigurationError, match="channel"):
        await seed_threads(chat, graph, [ANN])
    await seed_threads(chat, graph, [ANN], channel="turns")
    assert [turn.content for turn in (await graph.aget_state(config_of(session))).values["turns"]] == ["one"]


async def test_a_graph_without_a_checkpointer_is_refused(chat):
    with pytest.raises(ConfigurationError, match="checkpointer"):
        await seed_threads(chat, graph_with(None), [ANN])


async def test_what_is_no_async_store_or_checkpointer_is_refused(chat):
    class Blocking(BaseCheckpointSaver):
        """Has the blocking methods alone, or none."""

    await say(chat, ANN, "s1", "one")
    with pytest.raises(ConfigurationError, match="Blocking has no async methods"):
        await seed_threads(chat, Blocking(), [ANN])
    blocking = chatstore.open_blocking(load_settings(redis_url="redis://localhost"))
    with pytest.raises(ConfigurationError, match="async store"):
        await seed_threads(blocking.chat, InMemorySaver(), [ANN])


async def test_a_history_without_times_is_seeded_as_often_as_it_grows(redis_database):
    given = load_settings(redis_url=redis_database, layout="langchain", owners="all:ann")
    graph = graph_with(InMemorySaver())
    async with chatstore.open(given) as stores:
        with redis.Redis.from_url(redis_database) as client:
            for number in range(8):
                client.lpush("message_store:s1", json.dumps(message_to_dict(HumanMessage(f"turn {number}"))))
                assert (await seed_threads(stores.chat, graph, [ANN])).threads == 1
                held = await messages_in(graph, await stores.chat.get_session(ANN, "s1"))
                assert len(held) == number + 1


async def test_what_an_app_wrote_to_redis_is_a_thread_on_the_new_side(redis_database, settings, namespace):
    session_id, user = f"{namespace}:1", namespace
    with redis.Redis.from_url(redis_database) as client:
        for message in KINDS:
            client.lpush(f"message_store:{session_id}", json.dumps(message_to_dict(message)))
    given = load_settings(
        redis_url=redis_database,
        layout="langchain",
        owners="key:message_store:{user}:*",
        supabase_url=settings.supabase_url,
        supabase_secret_key=settings.supabase_secret_key,
        stage=Stage.DUALWRITE,
    )
    async with chatstore.open(given, inline=True) as stores:
        saver = ChatstoreSaver(stores.chat, user_key="user_id")
        assert (await seed_threads(stores.chat, saver, [user])).threads == 1
        session = await stores.chat.get_session(user, session_id)
        await graph_with(saver).ainvoke({"messages": [("user", "Thanks!")]}, config_of(session))
    given = load_settings(supabase_url=settings.supabase_url, supabase_secret_key=settings.supabase_secret_key)
    async with chatstore.open(given) as stores:
        graph = graph_with(ChatstoreSaver(stores.chat, user_id=user))
        held = await messages_in(graph, session)
        assert held[: len(KINDS)] == KINDS
        assert [message.content for message in held[len(KINDS) :]] == ["Thanks!", "you said 6 things"]

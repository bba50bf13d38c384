"""Chat history for LangChain, over stores in memory: what is kept, and what is refused."""

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
    messages_from_dict,
)
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory

from chatstore.errors import ConfigurationError, ConflictError, InvalidRecordError, UnsupportedError
from chatstore.identity import UserToken
from chatstore.integrations.langchain import ChatstoreHistory
from chatstore.interfaces import UserChat
from chatstore.models import NewMessage, Side
from chatstore.testing import MemoryChat
from tests.frameworks import conversations

USER, SESSION = "user-1", "session-1"
EVERY_KIND = [
    *messages_from_dict(conversations.LANGCHAIN),
    AIMessageChunk("a piece", tool_call_chunks=[{"name": "look", "args": "{", "id": "1", "index": 0}]),
    AIMessage("", invalid_tool_calls=[{"name": "look", "args": "{", "id": "2", "error": "no JSON"}]),
    RemoveMessage(id="run-1"),
    ChatMessage("I am called as a type is.", role="human"),
    HumanMessage([]),
]


@pytest.fixture
def chat():
    return MemoryChat(Side.OLD)


@pytest.fixture
def history(chat):
    return ChatstoreHistory(SESSION, chat=chat, user_id=USER)


@pytest.fixture
def blocking_history(blocking):
    return ChatstoreHistory(SESSION, chat=blocking.chat, user_id=USER)


def test_every_kind_of_message_comes_back_as_it_was(blocking_history):
    blocking_history.add_messages(EVERY_KIND)
    assert blocking_history.messages == EVERY_KIND
    assert [type(message) for message in blocking_history.messages] == [type(message) for message in EVERY_KIND]


async def test_every_kind_of_message_comes_back_as_it_was_to_coroutines(chat, blocking):
    for store in (chat, blocking.chat):
        history = ChatstoreHistory(SESSION, chat=store, user_id=USER)
        await history.aadd_messages(EVERY_KIND[:3])
        await history.aadd_messages(EVERY_KIND[3:])
        assert await history.aget_messages() == EVERY_KIND


async def test_fields_of_the_apps_own_may_have_any_name(history, chat):
    names = ("json", "item", "extra", "metadata", "user_id", "position", "text", "role", "chatstore", "")
    messages = [HumanMessage("Hello", **{name: value}) for name in names for value in ("x", ["x"], {"a": {"b": 1}})]
    messages.append(ChatMessage([{"type": "text", "text": "Hello"}], role="critic", json=["before", "behind"]))
    await history.aadd_messages(messages)
    assert await history.aget_messages() == messages
    assert {message.content for message in await chat.messages(USER, SESSION)} == {"Hello"}


async def test_the_same_message_twice_is_two_messages(history):
    same = HumanMessage("Hello", id="1")
    await history.aadd_messages([same, same])
    await history.aadd_messages([same])
    assert await history.aget_messages() == [same, same, same]


async def test_a_session_is_created_by_the_first_write_and_by_nothing_else(history, chat):
    assert await history.aget_messages() == []
    await history.aclear()
    await history.aadd_messages([])
    assert (await chat.list_sessions(USER)).items == ()
    await history.aadd_messages([HumanMessage("Hello")])
    assert [session.id for session in (await chat.list_sessions(USER)).items] == [SESSION]


async def test_a_session_that_the_app_made_is_used_as_it_is(history, chat):
    await chat.create_session(USER, session_id=SESSION, title="Tea", metadata={"a": 1})
    await chat.append(USER, SESSION, [NewMessage("user", "Hello"), NewMessage("critic", "No.")])
    await history.aadd_messages([AIMessage("Yes?")])
    assert await history.aget_messages() == [
        HumanMessage("Hello"),
        ChatMessage("No.", role="critic"),
        AIMessage("Yes?"),
    ]
    await history.aclear()
    assert await history.aget_messages() == []
    assert (await chat.get_session(USER, SESSION)).title == "Tea"


async def test_chatstore_itself_sees_roles_texts_and_tool_calls(history, chat):
    call = {"name": "look", "args": {"what": "tea"}, "id": "1", "type": "tool_call"}
    content = [{"type": "text", "text": "Let me"}, {"type": "text", "text": "look."}]
    await history.aadd_messages([AIMessage(content, id="run-1", tool_calls=[call])])
    [message] = await chat.messages(USER, SESSION)
    assert (message.role, message.content) == ("assistant", "Let me\nlook.")
    said = {name: value for name, value in message.extra.items() if name != "json"}
    assert said == {"content": content, "id": "run-1", "tool_calls": [call]}


async def test_users_do_not_see_each_others_sessions(history, chat):
    await history.aadd_messages([HumanMessage("Hello")])
    others = ChatstoreHistory(SESSION, chat=chat, user_id="user-2")
    assert await others.aget_messages() == []
    await others.aclear()
    with pytest.raises(ConflictError):
        await others.aadd_messages([HumanMessage("Me, too")])
    assert await history.aget_messages() == [HumanMessage("Hello")]


async def test_a_users_own_chats_need_no_user_id(chat, token_for):
    own = UserChat(chat, UserToken.verified_elsewhere(token_for(USER)))
    history = ChatstoreHistory(SESSION, chat=own)
    await history.aadd_messages([HumanMessage("Hello")])
    assert [message.content for message in await chat.messages(USER, SESSION)] == ["Hello"]
    assert await history.aget_messages() == [HumanMessage("Hello")]
    with pytest.raises(ConfigurationError, match="leave out"):
        ChatstoreHistory(SESSION, chat=own, user_id=USER)


def test_a_blocking_users_own_chats_need_no_user_id(blocking, token_for):
    own = blocking.for_user(UserToken.verified_elsewhere(token_for(USER))).chat
    history = ChatstoreHistory(SESSION, chat=own)
    history.add_user_message("Hello")
    history.add_ai_message("Yes?")
    assert [message.content for message in blocking.chat.messages(USER, SESSION)] == ["Hello", "Yes?"]
    assert str(history) == "Human: Hello\nAI: Yes?"
    history.clear()
    assert history.messages == []


def test_threads_that_begin_a_session_at_once_lose_nothing(blocking_history):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(blocking_history.add_user_message, map(str, range(64))))
    assert sorted(int(message.content) for message in blocking_history.messages) == list(range(64))


def test_a_history_has_a_user_and_a_session(chat):
    with pytest.raises(ConfigurationError, match="user_id"):
        ChatstoreHistory(SESSION, chat=chat)
    with pytest.raises(InvalidRecordError, match="session id"):
        ChatstoreHistory("", chat=chat, user_id=USER)
    with pytest.raises(InvalidRecordError, match="user id"):
        ChatstoreHistory(SESSION, chat=chat, user_id="")


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (ToolMessage("x", tool_call_id="1", artifact=datetime(2026, 1, 1, tzinfo=UTC)), "holds a datetime"),
        (HumanMessage("x", additional_kwargs={1: 2}), "key of the type int"),
        (AIMessage("x", response_metadata={"logprob": math.nan}), "holds nan"),
        (SystemMessage("\ud800"), "lone surrogate"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_what_json_cannot_hold_is_refused_and_nothing_is_written(history, message, why):
    await history.aadd_messages([HumanMessage("Hello")])
    with pytest.raises(InvalidRecordError, match=why):
        await history.aadd_messages([HumanMessage("before it"), message])
    assert await history.aget_messages() == [HumanMessage("Hello")]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (NewMessage("reaction", "x", id="m1", extra={"type": "reaction"}), "reaction"),
        (NewMessage("function", "without a name", id="m1"), "function"),
    ],
    ids=["a type that LangChain has not", "a field is missing"],
)
async def test_a_message_that_langchain_cannot_read_is_named(history, chat, message, kind):
    await chat.create_session(USER, session_id=SESSION)
    await chat.append(USER, SESSION, message)
    with pytest.raises(UnsupportedError, match=f"'m1' of the session 'session-1', whose type is '{kind}'"):
        await history.aget_messages()


async def test_what_another_framework_left_beside_a_message_is_not_langchains(history, chat):
    await chat.create_session(USER, session_id=SESSION)
    await chat.append(USER, SESSION, NewMessage("user", "x", extra={"type": "message", "status": "completed"}))
    assert await history.aget_messages() == [HumanMessage("x")]


async def test_blocking_calls_of_an_async_store_are_made_from_other_threads(chat):
    history = ChatstoreHistory(SESSION, chat=chat, user_id=USER)
    await asyncio.to_thread(history.add_messages, EVERY_KIND)
    assert await asyncio.to_thread(lambda: history.messages) == EVERY_KIND
    with pytest.raises(UnsupportedError, match="await the async method"):
        _ = history.messages
    await asyncio.to_thread(history.clear)
    assert await history.aget_messages() == []


async def test_a_blocking_call_goes_to_the_loop_of_the_async_ones_before(history):
    assert await history.aget_messages() == []
    await asyncio.to_thread(history.add_user_message, "Hello")
    assert await history.aget_messages() == [HumanMessage("Hello")]


def test_blocking_calls_of_an_async_store_without_its_loop_are_refused(chat):
    history = ChatstoreHistory(SESSION, chat=chat, user_id=USER)
    with pytest.raises(UnsupportedError, match="open_blocking"):
        history.add_messages([HumanMessage("Hello")])


def with_history(get_history):
    """A model that says how many messages it was given, and its history."""
    prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("history"), ("human", "{input}")])
    model = RunnableLambda(lambda prompted: AIMessage(f"{len(prompted.messages)}", id=None))
    with pytest.warns(DeprecationWarning, match="RunnableWithMessageHistory"):
        return RunnableWithMessageHistory(
            prompt | model, get_history, input_messages_key="input", history_messages_key="history"
        )


TURNS = [HumanMessage("Hello"), AIMessage("1"), HumanMessage("Tea?"), AIMessage("3")]


def test_a_chain_with_history_goes_on_where_it_was(blocking):
    def of_session(session_id: str) -> BaseChatMessageHistory:
        return ChatstoreHistory(session_id, chat=blocking.chat, user_id=USER)

    chain = with_history(of_session)
    config = {"configurable": {"session_id": SESSION}}
    assert chain.invoke({"input": "Hello"}, config).content == "1"
    assert chain.invoke({"input": "Tea?"}, config).content == "3"
    assert of_session(SESSION).messages == TURNS
    assert of_session("session-2").messages == []


async def test_an_async_chain_with_history_goes_on_where_it_was(chat):
    def of_session(session_id: str) -> BaseChatMessageHistory:
        return ChatstoreHistory(session_id, chat=chat, user_id=USER)

    chain = with_history(of_session)
    config = {"configurable": {"session_id": SESSION}}
    assert (await chain.ainvoke({"input": "Hello"}, config)).content == "1"
    assert (await chain.ainvoke({"input": "Tea?"}, config)).content == "3"
    assert await of_session(SESSION).aget_messages() == TURNS

"""`ChatstoreHistoryProvider` is a history of Agent Framework's, over stores in memory and over real servers."""

import asyncio
import json

import pytest
from agent_framework import Agent, BaseChatClient, ChatResponse, Content, Message
from redis.asyncio import Redis

import chatstore
from chatstore.integrations.agent_framework import ChatstoreHistoryProvider
from chatstore.models import Side, Stage, utc_now
from chatstore.ownership import load_owners
from chatstore.redis import RedisChat, chat_layout, connect
from chatstore.routing import Sides
from chatstore.supabase import ServiceClient, SupabaseChat
from chatstore.testing import MemoryChat
from tests.flags import Flags
from tests.routing.pair import chat_pair, router_over

MESSAGES = {
    "a text": Message("user", ["Where is my order?"]),
    "a name and an id": Message(
        "assistant", ["It left."], author_name="Ann", message_id="m1", additional_properties={"b": 1, "a": [None]}
    ),
    "two texts": Message("user", ["One", "Two"]),
    "a picture": Message(
        "user", [Content.from_data(b"png", "image/png"), Content.from_uri("https://a/b.png", media_type="image/png")]
    ),
    "a call": Message("assistant", [Content.from_function_call("c1", "find", arguments={"order": 17, "a": 1.5})]),
    "its result": Message("tool", [Content.from_function_result("c1", result={"left": "at nine"})]),
    "thoughts": Message(
        "assistant", [Content.from_text_reasoning(text="The order first."), Content.from_text("It left.")]
    ),
    "nothing": Message("assistant", []),
    "an empty text": Message("user", [""]),
    "a role of its own": Message("moderator", ["Stop"]),
    "every script": Message("user", ["Žlutý 馬 🐎 \u0000 \u2028"]),
}


class Echo(BaseChatClient):
    """It answers with how many messages it was given."""

    def _inner_get_response(self, *, messages, stream, options, **kwargs):
        async def answer():
            return ChatResponse(messages=[Message("assistant", [f"I was given {len(messages)}"])])

        return answer()


def texts(messages):
    return [json.dumps(message.to_dict()) for message in messages]


@pytest.fixture
def chat():
    return MemoryChat(Side.OLD)


@pytest.fixture
def history(chat):
    return ChatstoreHistoryProvider(chat, user_id="u1")


async def test_messages_of_every_kind_come_back_as_they_were(history):
    await history.save_messages("s1", list(MESSAGES.values()))
    assert texts(await history.get_messages("s1")) == texts(MESSAGES.values())


async def test_an_agent_remembers_at_every_stage():
    router, flags = await chat_pair()
    given = []
    for stage in Stage:
        flags.set(stage)
        agent = Agent(Echo(), context_providers=[ChatstoreHistoryProvider(router, user_id="u1")])
        response = await agent.run("Hello", session=agent.create_session(session_id="s1"))
        given.append(response.text)
    assert given == [f"I was given {2 * turns + 1}" for turns in range(len(Stage))]
    await router.close()


async def test_what_is_not_to_be_loaded_or_stored_is_not(chat):
    audit = ChatstoreHistoryProvider(chat, user_id="u1", load_messages=False, store_inputs=False)
    agent = Agent(Echo(), context_providers=[audit])
    for _ in range(2):
        assert (await agent.run("Hello", session=agent.create_session(session_id="s1"))).text == "I was given 1"
    assert [message.role for message in await chat.messages("u1", "s1")] == ["assistant", "assistant"]


async def test_a_session_that_is_cleared_is_empty_and_keeps_its_title(history, chat):
    await history.clear("s1")
    assert await history.get_messages("s1") == []
    await chat.create_session("u1", session_id="s1", title="An order")
    await history.save_messages("s1", [MESSAGES["a text"]])
    await history.clear("s1")
    assert await history.get_messages("s1") == []
    assert (await chat.get_session("u1", "s1")).title == "An order"


async def test_another_users_session_is_not_seen_and_not_written(history, chat):
    await history.save_messages("s1", [MESSAGES["a text"]])
    other = ChatstoreHistoryProvider(chat, user_id="u2")
    assert await other.get_messages("s1") == []
    await other.clear("s1")
    with pytest.raises(chatstore.ConflictError):
        await other.save_messages("s1", [MESSAGES["two texts"]])
    assert texts(await history.get_messages("s1")) == texts([MESSAGES["a text"]])


async def test_many_that_save_at_once_lose_nothing(history):
    await asyncio.gather(*(history.save_messages("s1", [Message("user", [str(n)])] * 2) for n in range(8)))
    kept = [message.text for message in await history.get_messages("s1")]
    assert kept[::2] == kept[1::2]
    assert sorted(kept[::2]) == [str(n) for n in range(8)]


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("a text", "give the framework's `Message`"),
        (Message("user", ["x"], additional_properties={"what": object()}), "'what' is of the type object"),
        (Message("user", ["x"], additional_properties={"what": float("nan")}), "nan"),
        (Message("user", [Content.from_text("x", additional_properties={"what": object()})]), "'what' is of the type"),
        (Message("user", ["\ud800"]), "lone surrogate"),
        (Message("", ["x"]), "no role"),
    ],
)
async def test_what_would_not_come_back_is_refused(history, message, says):
    with pytest.raises(chatstore.InvalidRecordError, match=says):
        await history.save_messages("s1", [MESSAGES["a text"], message])
    assert await history.get_messages("s1") == []


async def test_a_run_without_a_session_is_refused(history, chat):
    for call in (history.get_messages(None), history.save_messages(None, []), history.clear(None)):
        with pytest.raises(chatstore.ConfigurationError, match="create_session"):
            await call
    with pytest.raises(chatstore.ConfigurationError, match="give `user_id`"):
        ChatstoreHistoryProvider(chat)


async def test_what_the_framework_wrote_to_redis_comes_out_on_both_sides(redis_database, settings, namespace):
    prefix = "chat_messages|v2||app|||"
    flags, supabase = Flags(), ServiceClient.connect(settings.supabase_url, settings.supabase_secret_key)
    layout = chat_layout("agent-framework", prefix=prefix, owners=load_owners(f"all:{namespace}"))
    items = texts(MESSAGES.values())
    first_versions = '{"type": "chat_message", "role": {"type": "role", "value": "user"}, "contents": [{"type": "text", "text": "Hi"}]}'
    async with Redis.from_url(redis_database, decode_responses=True) as redis, connect(redis_database) as client:
        sides = Sides(RedisChat(client, layout), SupabaseChat(supabase))
        for side in Side:
            await sides[side].journal.forget_state()
            await sides[side].journal.remember(verified_at=utc_now(), journal_open=True)
        router = router_over(sides, flags)
        history, key = ChatstoreHistoryProvider(router, user_id=namespace), f"{namespace}-s"
        await redis.rpush(prefix + key, *items, first_versions)
        *read, older = await history.get_messages(key)
        assert texts(read) == items
        assert (older.role, older.text) == ("user", "Hi")

        flags.set(Stage.DUALWRITE)
        await history.save_messages(f"{key}2", list(MESSAGES.values()))
        assert await redis.lrange(f"{prefix}{key}2", 0, -1) == items
        flags.set(Stage.LIVE)
        assert texts(await history.get_messages(f"{key}2")) == items
        await sides.new.journal.forget_state()
        await router.replicator.close()
        await router.shadow.close()
        await router.stages.close()
    await supabase.close()

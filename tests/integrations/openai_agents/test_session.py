"""`ChatstoreSession` keeps what the SDK's `Session` promises, over a store in memory."""

import asyncio
import math
from types import SimpleNamespace

import pytest
from agents.memory import OpenAIResponsesCompactionSession, Session, SessionSettings
from hypothesis import given
from hypothesis import strategies as st

import chatstore
from chatstore.integrations.openai_agents import ChatstoreSession
from chatstore.models import Side, Stage
from chatstore.testing import MemoryChat
from tests.integrations.openai_agents.items import ITEMS, texts
from tests.routing.pair import chat_pair

HELLO, ANSWER = {"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello to you"}


@pytest.fixture
def chat():
    return MemoryChat(Side.OLD)


@pytest.fixture
def session(chat):
    return ChatstoreSession("s1", chat=chat, user_id="u1")


def test_it_is_a_session_of_the_sdk(session):
    assert isinstance(session, Session)


async def test_items_of_every_kind_come_back_as_they_were(session):
    await session.add_items(list(ITEMS.values()))
    assert texts(await session.get_items()) == texts(ITEMS.values())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["role", "type", "content", "output", "arguments", "summary", "json", "extra", "id", "text"])


@given(
    st.dictionaries(NAMES | st.text(max_size=4), JSON, max_size=6),
    st.sampled_from(["role", "type"]),
    st.text(min_size=1),
)
def test_any_item_comes_back_as_it_was(item, named, name):
    item[named] = name

    async def kept():
        session = ChatstoreSession("s1", chat=MemoryChat(Side.OLD), user_id="u1")
        await session.add_items([item])
        return await session.get_items()

    assert texts(asyncio.run(kept())) == texts([item])


async def test_the_last_items_are_given_in_their_order(session):
    items = [{"role": "user", "content": str(number)} for number in range(5)]
    await session.add_items(items)
    assert await session.get_items(2) == items[-2:]
    assert await session.get_items(9) == items
    assert await session.get_items(0) == await session.get_items(-1) == []


async def test_the_sessions_settings_limit_what_is_given(chat):
    session = ChatstoreSession("s1", chat=chat, user_id="u1", session_settings=SessionSettings(limit=1))
    await session.add_items([HELLO, ANSWER])
    assert await session.get_items() == [ANSWER]
    assert await session.get_items(2) == [HELLO, ANSWER]


async def test_a_session_that_is_not_there_is_empty(session, chat):
    assert await session.get_items() == await session.get_items(3) == []
    assert await session.pop_item() is None
    await session.clear_session()
    await session.add_items([])
    assert (await chat.list_sessions("u1")).items == ()


async def test_an_item_that_was_popped_is_gone(session):
    await session.add_items([HELLO, ANSWER])
    assert await session.pop_item() == ANSWER
    assert await session.get_items() == [HELLO]
    assert await session.pop_item() == HELLO
    assert await session.pop_item() is None


async def test_a_session_that_was_cleared_is_kept_and_empty(session, chat):
    await chat.create_session("u1", session_id="s1", title="An order")
    await session.add_items([HELLO])
    await session.clear_session()
    assert await session.get_items() == []
    assert (await chat.get_session("u1", "s1")).title == "An order"
    await session.add_items([ANSWER])
    assert await session.get_items() == [ANSWER]


async def test_many_that_begin_a_session_at_once_lose_nothing(chat):
    sessions = [ChatstoreSession("s1", chat=chat, user_id="u1") for _ in range(8)]
    batches = [[{"role": "user", "content": f"{n} {k}"} for k in "ab"] for n in range(8)]
    await asyncio.gather(*(session.add_items(batch) for session, batch in zip(sessions, batches, strict=True)))
    kept = await sessions[0].get_items()
    assert sorted(zip(kept[::2], kept[1::2], strict=True), key=str) == [tuple(batch) for batch in batches]


async def test_a_session_that_another_call_made_with_a_title_is_appended_to(chat, session, monkeypatch):
    create = chat.create_session

    async def outrun(*args, **kwargs):
        await create("u1", session_id="s1", title="made meanwhile")
        return await create(*args, **kwargs)

    monkeypatch.setattr(chat, "create_session", outrun)
    await session.add_items([HELLO])
    assert await session.get_items() == [HELLO]


async def test_another_users_session_is_not_seen_and_not_written(chat, session):
    await session.add_items([HELLO])
    other = ChatstoreSession("s1", chat=chat, user_id="u2")
    assert await other.get_items() == []
    assert await other.pop_item() is None
    await other.clear_session()
    with pytest.raises(chatstore.ConflictError):
        await other.add_items([ANSWER])
    assert await session.get_items() == [HELLO]


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ({"content": "nobody says it"}, "neither a role nor a type"),
        ({"__enc__": 1, "v": 1, "kid": "hkdf-v1", "payload": "x"}, "EncryptedSession"),
        ("a text", "give a JSON object"),
        ({"role": "user", "content": math.nan}, "nan"),
        ({"role": "user", "content": "\ud800"}, "lone surrogate"),
        ({"role": "user", "content": b"bytes"}, "bytes"),
        ({"role": "user", 1: "x"}, "JSON's keys are text"),
    ],
)
async def test_what_is_no_item_is_refused_and_none_of_the_others_is_kept(session, item, says):
    with pytest.raises(chatstore.InvalidRecordError, match=says):
        await session.add_items([HELLO, item])
    assert await session.get_items() == []


async def test_what_the_app_itself_appended_is_given_as_items(chat, session):
    await chat.create_session("u1", session_id="s1")
    said = [
        chatstore.NewMessage("user", "Hello", metadata={"from": "the web"}),
        chatstore.NewMessage("function_call", "x"),
    ]
    await chat.append("u1", "s1", said)
    assert await session.get_items() == [HELLO, {"role": "function_call", "content": "x"}]


async def test_an_edited_message_is_given_as_it_is_now(chat, session):
    await session.add_items([ITEMS["a function call"], ITEMS["keys in another order"]])
    call, message = await chat.messages("u1", "s1")
    await chat.edit_message("u1", "s1", call.id, content="{}")
    await chat.edit_message("u1", "s1", message.id, content="When?")
    assert await session.get_items() == [
        ITEMS["a function call"] | {"arguments": "{}"},
        {"content": "When?", "role": "user"},
    ]


async def test_a_session_goes_on_over_every_stage():
    router, flags = await chat_pair()
    session = ChatstoreSession("s1", chat=router, user_id="u1")
    added = []
    for number, stage in enumerate(Stage):
        flags.set(stage)
        added.append({"role": "user", "content": str(number)})
        await session.add_items(added[-1:])
        assert await session.get_items() == added
    assert await session.pop_item() == added[-1]
    await router.close()


@pytest.mark.parametrize(
    ("session_id", "user_id", "says"),
    [("", "u1", "session id is empty"), ("s1", "", "user id is empty"), (1, "u1", "int")],
)
def test_ids_that_no_side_can_hold_are_refused(chat, session_id, user_id, says):
    with pytest.raises(chatstore.InvalidRecordError, match=says):
        ChatstoreSession(session_id, chat=chat, user_id=user_id)


def test_a_session_of_nobody_is_refused(chat):
    with pytest.raises(chatstore.ConfigurationError, match="give `user_id`"):
        ChatstoreSession("s1", chat=chat)


async def test_the_sdks_compaction_works_over_it(session):
    class Client:
        """OpenAI's, as far as compaction goes: it leaves one item."""

        def __init__(self):
            self.responses = self

        async def compact(self, **given):
            return SimpleNamespace(output=[{"type": "compaction", "encrypted_content": "abc"}], usage=None)

    compacting = OpenAIResponsesCompactionSession(
        "s1", session, client=Client(), compaction_mode="input", should_trigger_compaction=lambda _: True
    )
    await compacting.add_items([HELLO, ANSWER])
    await compacting.run_compaction({"force": True, "compaction_mode": "input"})
    assert [item["type"] for item in await session.get_items()] == ["compaction"]

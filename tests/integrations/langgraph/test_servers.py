"""Graphs over real servers: users' tokens, a side that is added and taken, many writes at once, and large states."""

import asyncio
import operator
from typing import Annotated

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Send
from typing_extensions import TypedDict

import chatstore
from chatstore.errors import ConflictError
from chatstore.identity import UserToken
from chatstore.integrations.langgraph import ChatstoreSaver
from chatstore.models import Stage
from chatstore.settings import load_settings
from tests.integrations.langgraph.test_saver import config, conversation, put, said


class Numbers(TypedDict):
    numbers: Annotated[list, operator.add]


def fan(saver, width):
    builder = StateGraph(Numbers)
    builder.add_node("square", lambda number: {"numbers": [number * number]})
    builder.add_conditional_edges(START, lambda _: [Send("square", number) for number in range(width)], ["square"])
    return builder.compile(checkpointer=saver)


@pytest.fixture
def supabase(settings):
    return {"supabase_url": settings.supabase_url, "supabase_secret_key": settings.supabase_secret_key}


async def test_a_thread_is_kept_under_row_level_security(supabase, token_for, namespace):
    async with chatstore.open(load_settings(**supabase)) as stores:
        tokens = [UserToken.verified_elsewhere(token_for(f"{namespace}-{user}")) for user in ("ann", "ben")]
        ann, ben = [ChatstoreSaver((await stores.for_user(token)).chat) for token in tokens]
        thread = config(namespace)
        await conversation(ann).ainvoke({"messages": [("user", "one")]}, thread)
        assert said((await conversation(ann).aget_state(thread)).values) == ["one", "you said 1 things"]
        assert await ben.aget_tuple(thread) is None
        await ben.adelete_thread(namespace)
        with pytest.raises(ConflictError):
            await put(ben, thread)
        assert await ann.aget_tuple(thread) is not None


async def test_a_conversation_goes_on_while_its_side_is_changed(redis_database, supabase, namespace):
    thread = config(namespace, user_id=namespace)
    both = {"redis_url": redis_database, **supabase}
    for number, (stage, given) in enumerate(
        [(Stage.OFF, {"redis_url": redis_database}), (Stage.DUALWRITE, both), (None, supabase)]
    ):
        settings = load_settings(**given) if stage is None else load_settings(**given, stage=stage)
        async with chatstore.open(settings, inline=True) as stores:
            graph = conversation(ChatstoreSaver(stores.chat, user_key="user_id"))
            held = await graph.ainvoke({"messages": [("user", f"turn {number}")]}, thread)
    assert said(held)[:5] == ["turn 0", "you said 1 things", "turn 1", "you said 3 things", "turn 2"]


@pytest.mark.parametrize("durability", ["async", "exit"])
async def test_tasks_that_write_at_once_are_all_kept(redis_database, namespace, durability):
    async with chatstore.open(load_settings(redis_url=redis_database)) as stores:
        saver = ChatstoreSaver(stores.chat, user_id=namespace)
        runs = [
            fan(saver, 10).ainvoke({"numbers": []}, config(f"{namespace}-{run}"), durability=durability)
            for run in range(5)
        ]
        await asyncio.gather(*runs)
        for run in range(5):
            held = (await fan(saver, 10).aget_state(config(f"{namespace}-{run}"))).values
            assert held["numbers"] == [number * number for number in range(10)]


async def test_a_large_state_comes_back(redis_database, supabase, namespace):
    text = "tea \u00e9\x00\U0001f375" * 30_000
    for given in ({"redis_url": redis_database}, supabase):
        async with chatstore.open(load_settings(**given)) as stores:
            graph = conversation(ChatstoreSaver(stores.chat, user_id=namespace))
            await graph.ainvoke({"messages": [("user", text)]}, config(namespace))
            assert said((await graph.aget_state(config(namespace))).values)[0] == text

"""Chat history for LangChain on real servers: LangChain's own Redis class reads and writes the same, at every stage."""

import asyncio
import json

import pytest
from langchain_core.messages import AIMessage, HumanMessage, message_to_dict, messages_from_dict

from chatstore.integrations.langchain import ChatstoreHistory
from chatstore.models import Stage
from tests.frameworks import conversations, dumps
from tests.redis.moving_chats import OWNER, app, chats_beside_supabase

__all__ = ["app", "chats_beside_supabase"]

EVERY_KIND = messages_from_dict(conversations.LANGCHAIN)
SESSIONS = ["user-1:session-1", "session-2"]


def in_redis(app, session):
    """Return the messages of a session as langchain-community's `RedisChatMessageHistory` reads them."""
    return messages_from_dict([json.loads(raw) for raw in reversed(app.lrange(f"message_store:{session}", 0, -1))])


def into_redis(app, session, *messages):
    """Append messages to a session as that class does it."""
    for message in messages:
        app.lpush(f"message_store:{session}", json.dumps(message_to_dict(message)))


async def end(router):
    await router.replicator.drain()
    await router.replicator.close()
    await router.shadow.close()


@pytest.mark.parametrize("dump", ["langchain-chat", "langchain-old-chat"])
async def test_what_langchain_left_in_redis_reads_the_same_at_every_stage(dump, app, chats_beside_supabase):
    dumps.load(dump).restore(app)
    expected = {session: in_redis(app, session) for session in SESSIONS}
    chats = await chats_beside_supabase("langchain")
    await chats.move(chats.old, chats.new)
    for stage in Stage:
        router = await chats.router(stage)
        for session in SESSIONS:
            assert await ChatstoreHistory(session, chat=router, user_id=OWNER).aget_messages() == expected[session]
        await end(router)


async def test_every_kind_of_message_is_written_and_read_at_every_stage(app, chats_beside_supabase):
    chats = await chats_beside_supabase("langchain")
    for stage in Stage:
        router = await chats.router(stage)
        history = ChatstoreHistory(f"s-{stage}", chat=router, user_id=OWNER)
        await history.aadd_messages(EVERY_KIND[:5])
        await history.aadd_messages(EVERY_KIND[5:])
        assert await history.aget_messages() == EVERY_KIND
        await end(router)
        assert in_redis(app, f"s-{stage}") == ([] if stage is Stage.COMPLETE else EVERY_KIND)
        if stage is not Stage.OFF:
            read = await ChatstoreHistory(f"s-{stage}", chat=chats.new, user_id=OWNER).aget_messages()
            assert read == EVERY_KIND


async def test_the_arguments_of_a_tool_call_keep_their_order(app, chats_beside_supabase):
    arguments = {"when": "today", "a": 1, "from": {"zone": "UTC", "at": "noon"}}
    message = AIMessage("", tool_calls=[{"name": "book", "args": arguments, "id": "1"}])
    chats = await chats_beside_supabase("langchain")
    for stage in (Stage.OFF, Stage.LIVE, Stage.COMPLETE):
        router = await chats.router(stage)
        history = ChatstoreHistory(f"s-{stage}", chat=router, user_id=OWNER)
        await history.aadd_messages([message])
        [read] = await history.aget_messages()
        assert json.dumps(read.tool_calls[0]["args"]) == json.dumps(arguments)
        await end(router)


async def test_langchain_and_chatstore_go_on_with_the_same_session(app, chats_beside_supabase):
    chats = await chats_beside_supabase("langchain")
    into_redis(app, "s", HumanMessage("1"), AIMessage("2"))
    router = await chats.router(Stage.OFF)
    history = ChatstoreHistory("s", chat=router, user_id=OWNER)
    await asyncio.to_thread(history.add_user_message, "3")
    into_redis(app, "s", AIMessage("4"))
    assert await history.aget_messages() == in_redis(app, "s")
    assert [message.content for message in in_redis(app, "s")] == ["1", "2", "3", "4"]
    await history.aclear()
    assert in_redis(app, "s") == []
    await end(router)


async def test_langchains_own_package_reads_what_was_written_and_the_other_way_round(
    framework, app, redis_database, chats_beside_supabase
):
    langchain = framework("langchain")
    langchain.call("write_chat", url=redis_database, session="s", messages=conversations.LANGCHAIN)
    chats = await chats_beside_supabase("langchain")
    await chats.move(chats.old, chats.new)
    for stage in (Stage.DUALWRITE, Stage.LIVE):
        router = await chats.router(stage)
        history = ChatstoreHistory("s", chat=router, user_id=OWNER)
        await history.aadd_messages(EVERY_KIND)
        await router.replicator.drain()
        read = langchain.call("read_chat", url=redis_database, session="s")
        assert messages_from_dict(read) == await history.aget_messages()
        await end(router)
    assert messages_from_dict(read) == EVERY_KIND * 3

"""What the frameworks left in Redis goes to Supabase and comes back, byte for byte; those of older versions, too."""

import json

import pytest

from tests.frameworks import dumps
from tests.redis.documents.conftest import raw
from tests.redis.moving_chats import OWNER, app, assert_same, chats_beside_supabase, values

__all__ = ["app", "chats_beside_supabase"]

# The dump, its layout, and how many messages it has.
DUMPS = {
    "langchain-chat": ("langchain", 12),
    "langchain-old-chat": ("langchain", 12),
    "langchain-js-chat": ("langchain-js", 11),
    "llamaindex-chat": ("llamaindex", 11),
    "llamaindex-old-chat": ("llamaindex", 7),
    "openai-agents-chat": ("openai-agents", 11),
    "agent-framework-chat": ("agent-framework", 10),
    "agent-framework-old-chat": ("agent-framework", 8),
    "vercel-kv-chat": ("vercel-kv", 6),
}


@pytest.mark.parametrize("name", DUMPS)
async def test_a_frameworks_sessions_go_to_supabase_and_come_back_byte_for_byte(name, app, chats_beside_supabase):
    layout, count = DUMPS[name]
    dumps.load(name).restore(app)
    before = raw(app)
    chats = await chats_beside_supabase(layout)
    await chats.move(chats.old, chats.new)
    assert values(raw(app)) == values(before)
    assert (await chats.new.count()).messages == count
    for session in (await chats.new.list_sessions(OWNER)).items:
        assert (session.expires_at is not None) == any(
            ttl is not None for key, (*_, ttl) in before.items() if session.id in key.decode()
        )
        roles = {message.role for message in await chats.new.messages(OWNER, session.id)}
        assert roles
        assert not any(role.startswith("{") for role in roles)
    app.flushdb()
    await chats.move(chats.new, chats.old)
    assert_same(raw(app), before)


@pytest.mark.parametrize("name", DUMPS)
async def test_every_list_of_a_dump_is_claimed_by_its_layout_and_no_other_key(name, app, chats_beside_supabase):
    layout, count = DUMPS[name]
    dumps.load(name).restore(app)
    app.set("text", "x")
    app.rpush("jobs", json.dumps({"queue": "mail", "args": []}), "no JSON")
    app.hset("chat:settings", mapping={"colour": "red"})
    chats = await chats_beside_supabase(layout)
    assert (await chats.old.count()).messages == count

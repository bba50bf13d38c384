"""What a framework writes is noticed as the session that it is of; what we write ourselves is not taken for it."""

import random

from chatstore.models import NewMessage
from chatstore.redis import foreign_sessions
from chatstore.redis.notifications import SETTING, needed
from tests.redis.convergence import write_on_both
from tests.redis.keyed.conftest import BEGUN
from tests.redis.notifications.watching import watching


async def test_a_framework_s_writes_and_deletions_are_noticed(app, client, layout, chat, scanned):
    await client.config_set(SETTING, needed({layout.kind}))
    async with watching(foreign_sessions, client, layout) as watched:
        name = f"{BEGUN}.25:0a1b2c3d" if layout.name == "redisvl" else "01M86YCG1C14SJ0M7MDCCT7JSS"
        await client.ask(*app.write_command("user:1", name, 0.25))
        assert await watched.next() == ("ann", "user:1")
        [message] = await chat.messages("ann", "user:1")
        assert message.id == name
        await client.delete(app.key("user:1", name))
        assert await watched.next() == ("ann", "user:1")
        [change] = [one async for page in chat.fetch(["user:1"]) for one in page.changes]
        assert [tombstone.id for tombstone in change.tombstones] == [name]


async def test_none_of_our_own_writes_is_taken_for_the_frameworks(app, layout, chat, memory, scanned):
    await app.client.config_set(SETTING, needed({layout.kind}))
    async with watching(foreign_sessions, app.client, layout) as watched:
        await write_on_both(random.Random(7), chat, memory, 150)
        await chat.create_session("ann", session_id="ours")
        await chat.append("ann", "ours", NewMessage("user", "x"))
        await scanned(chat)
        await app.write("theirs", 1)
        assert await watched.next() == ("ann", "theirs")
        assert watched.none_is_left


async def test_a_message_that_the_search_index_refuses_is_noticed_too(app, layout, chat):
    if layout.name == "redisvl":
        schema = "session_tag TAG timestamp NUMERIC tool_call_id NUMERIC"
        await app.client.ask("FT.DROPINDEX", "chat")
        await app.client.ask("FT.CREATE", "chat", "ON", "HASH", "PREFIX", 1, "chat", "SCHEMA", *schema.split())
    await app.client.config_set(SETTING, needed({layout.kind}))
    async with watching(foreign_sessions, app.client, layout) as watched:
        await app.write("s", 1)
        await app.client.ask(*app.write_command("s", "refused", 1, **app.refused()))
        await watched.next()
        assert [one.id for one in await chat.messages("ann", "s")] == ["m00000", "refused"]

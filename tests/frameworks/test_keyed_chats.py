"""A framework whose messages have a key each, and chatstore, on the same sessions: to Supabase and back."""

import pytest

from chatstore.models import NewMessage, Stage
from tests.frameworks import conversations, dumps
from tests.redis.documents.conftest import raw
from tests.redis.moving_chats import OWNER, assert_same, beside_supabase, values

SESSION, SHORT = "user-1:session-1", "session-2"

# The framework, the layout, what is written, and the options of the framework's calls.
CHATS = {
    "langchain-redis": ("langchain-redis", "langchain-redis", conversations.LANGCHAIN_REDIS, {}),
    "redisvl": ("redisvl", "redisvl", conversations.REDISVL, {}),
    "redisvl-semantic": ("redisvl", "redisvl", conversations.REDISVL_SEMANTIC, {"semantic": True}),
}


class Talk:
    """An app with a framework on its sessions."""

    def __init__(self, name, framework, url):
        self.framework, self.layout, self.messages, self._options = CHATS[name]
        self._it = framework(self.framework)
        self._url = url

    def write(self, session, messages, **options):
        self._it.call("write_chat", url=self._url, session=session, messages=messages, **self._options, **options)

    def read(self, session):
        return self._it.call("read_chat", url=self._url, session=session, **self._options)

    def contents(self, session):
        return [each.get("content", each.get("data", {}).get("content")) for each in self.read(session)]


@pytest.fixture
async def chats_beside_supabase(search_redis, settings):
    async with beside_supabase(search_redis, settings) as opened:
        yield opened


@pytest.fixture
def app(search_redis):
    with dumps.connect(search_redis) as client:
        yield client


@pytest.mark.parametrize("name", CHATS)
async def test_a_framework_reads_what_chatstore_wrote_and_chatstore_what_the_framework_did(
    name, framework, search_redis, app, chats_beside_supabase
):
    talk = Talk(name, framework, search_redis)

    def write():
        talk.write(SESSION, talk.messages)
        if talk.framework == "langchain-redis":
            talk.write(SESSION, conversations.LANGCHAIN_REDIS_UNREADABLE[:2])  # their content has parts
        talk.write(SHORT, talk.messages[:2], ttl=1000)
        return {}

    left = dumps.take(app, write)
    begun = raw(app, b"chat:")
    chats = await chats_beside_supabase(talk.layout)
    await chats.move(chats.old, chats.new)
    assert values(raw(app, b"chat:")) == values(begun)
    assert {message.expires_at is not None for message in await chats.new.messages(OWNER, SHORT)} == {True}

    for stage in (Stage.DUALWRITE, Stage.LIVE):
        store = await chats.router(stage)
        known = await store.messages(OWNER, SESSION)
        [edited] = [message for message in known if message.content.startswith("How is green tea made?")]
        await store.edit_message(OWNER, SESSION, edited.id, content=f"How is green tea made? {stage}")
        told = [NewMessage("user", f"{stage} 🍵 \\ \n"), NewMessage("assistant", stage), NewMessage("tool", "42")]
        for message in told:
            await store.append(OWNER, SESSION, message)
        await store.delete_messages(OWNER, SESSION, [told[1].id])
        await store.replicator.drain()
        await store.replicator.close()
        await store.shadow.close()
        contents = talk.contents(SESSION)
        assert contents[1] == f"How is green tea made? {stage}"
        assert contents[-2:] == [f"{stage} 🍵 \\ \n", "42"]
    talk.write(SESSION, talk.messages[:1])
    await chats.move(chats.old, chats.new)
    assert [message.content for message in await chats.new.last_messages(OWNER, SESSION, 2)] == [
        "42",
        "You know about tea.",
    ]

    before, read = raw(app, b"chat:"), (talk.read(SESSION), talk.read(SHORT))
    app.flushall()
    for command in left.indexes:
        app.execute_command(*command)
    await chats.move(chats.new, chats.old)
    assert_same(raw(app, b"chat:"), before)
    assert (talk.read(SESSION), talk.read(SHORT)) == read


@pytest.mark.parametrize("name", ["langchain-redis-old-chat", "redisvl-old-chat", "langchain-redis-chat-unreadable"])
async def test_what_older_versions_left_and_what_no_version_reads_comes_back_as_it_was(
    name, app, chats_beside_supabase
):
    dump = dumps.load(name)
    dump.restore(app)
    before = raw(app, b"chat:")
    chats = await chats_beside_supabase("redisvl" if "redisvl" in name else "langchain-redis")
    await chats.move(chats.old, chats.new)
    count = await chats.new.count()
    assert (count.sessions, count.messages) == (2, len(before))
    app.flushall()
    for command in dump.indexes:
        app.execute_command(*command)
    await chats.move(chats.new, chats.old)
    assert values(raw(app, b"chat:")) == values(before)

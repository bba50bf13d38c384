"""A framework whose sessions are lists, or a JSON array, and chatstore, on the same sessions: to Supabase and back."""

import json

import pytest

from chatstore.models import NewMessage, Stage
from tests.frameworks import conversations
from tests.redis.documents.conftest import raw
from tests.redis.moving_chats import OWNER, app, assert_same, chats_beside_supabase, values

__all__ = ["app", "chats_beside_supabase"]

SESSION, SHORT = "user-1:session-1", "session-2"


class Talk:
    """An app with a framework on its sessions.

    Attributes:
        layout: The layout that the framework writes.
        messages: What it is given to write, with a question about green tea and an answer.
        prefix: What the ids of its sessions begin with, as chatstore knows them.
        expires: Whether the framework lets sessions expire.
    """

    prefix = ""
    expires = True

    def __init__(self, name, messages, framework, url):
        self.layout = name.removesuffix("-old")
        self.messages = messages
        self.it = framework(name)
        self.url = url

    def write(self, session, messages, **options):
        self.it.call("write_chat", url=self.url, session=session, messages=messages, **options)

    def read(self, session):
        return self.it.call("read_chat", url=self.url, session=session)

    def texts(self, session):
        """Return what each message says, as the framework gives it."""
        return [text(each.get("data", each)) for each in self.read(session)]


class AgentFramework(Talk):
    prefix = "|v2|~none|app|~none|redis_memory|"
    expires = False

    def write(self, session, messages, **options):
        super().write(session.replace(":", "-"), messages, **options)

    def read(self, session):
        return super().read(session.replace(":", "-"))


class VercelKv(Talk):
    """The whole chat is saved at each turn."""

    expires = False

    def write(self, session, messages, **options):
        chat = self.it.call("read_chat", url=self.url, session=session)
        held = chat["messages"] if chat else []
        new = {"id": session, "userId": OWNER, "title": "Tea", "path": f"/chat/{session}", "createdAt": 1719400000123}
        self.it.call("write_chat", url=self.url, chat={**(chat or new), "messages": [*held, *messages]})

    def read(self, session):
        return self.it.call("read_chat", url=self.url, session=session)["messages"]


def text(message):
    for name in ("content", "blocks", "contents", "output", "arguments"):
        value = message.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            return "\n".join(part["text"] for part in value if "text" in part)
    return ""


TALKS = {
    "langchain": (Talk, conversations.LANGCHAIN),
    "langchain-old": (Talk, conversations.LANGCHAIN),
    "langchain-js": (Talk, conversations.LANGCHAIN_JS),
    "llamaindex": (Talk, conversations.LLAMAINDEX),
    "openai-agents": (Talk, conversations.OPENAI_AGENTS),
    "agent-framework": (AgentFramework, conversations.AGENT_FRAMEWORK),
    "vercel-kv": (VercelKv, conversations.VERCEL_KV["messages"]),
}


@pytest.mark.parametrize("name", TALKS)
async def test_a_framework_reads_what_chatstore_wrote_and_chatstore_what_the_framework_did(
    name, framework, redis_database, app, chats_beside_supabase
):
    kind, messages = TALKS[name]
    talk = kind(name, messages, framework, redis_database)
    talk.write(SESSION, talk.messages)
    talk.write(SHORT, talk.messages[:2], **({"ttl": 1000} if talk.expires else {}))
    begun, first = raw(app), talk.read(SESSION)
    chats = await chats_beside_supabase(talk.layout)
    await chats.move(chats.old, chats.new)
    assert values(raw(app)) == values(begun)
    session = talk.prefix + (SESSION.replace(":", "-") if kind is AgentFramework else SESSION)
    short = await chats.new.get_session(OWNER, talk.prefix + SHORT)
    assert (short.expires_at is not None) == talk.expires

    for stage in (Stage.DUALWRITE, Stage.LIVE):
        store = await chats.router(stage)
        known = await store.messages(OWNER, session)
        [edited] = [message for message in known if message.content.startswith("How is green tea made?")]
        await store.edit_message(OWNER, session, edited.id, content=f"How is green tea made? {stage}")
        told = [NewMessage("user", f"{stage} 🍵 \\ \n"), NewMessage("assistant", stage), NewMessage("system", "42")]
        for message in told:
            await store.append(OWNER, session, message)
        await store.delete_messages(OWNER, session, [told[1].id])
        await store.replicator.drain()
        await store.replicator.close()
        await store.shadow.close()
        texts = talk.texts(SESSION)
        assert f"How is green tea made? {stage}" in texts
        assert texts[-2:] == [f"{stage} 🍵 \\ \n", "42"]
    # All that the framework wrote is as it was, but for the text that was edited.
    now = talk.read(SESSION)
    assert [each for each in first if "How is green tea" not in json.dumps(each)] == [
        each for each in now[: len(first)] if "How is green tea" not in json.dumps(each)
    ]

    talk.write(SESSION, talk.messages[:1])
    await chats.move(chats.old, chats.new)
    assert (await chats.new.last_messages(OWNER, session, 1))[0].content == text(
        talk.messages[0].get("data", talk.messages[0])
    )

    before, read = raw(app), (talk.read(SESSION), talk.read(SHORT))
    app.flushdb()
    await chats.move(chats.new, chats.old)
    assert_same(raw(app), before)
    assert (talk.read(SESSION), talk.read(SHORT)) == read

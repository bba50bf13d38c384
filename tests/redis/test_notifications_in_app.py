"""An app that notices by itself what other programs write, and says how far its sides are apart."""

from datetime import timedelta

import pytest
from pydantic import SecretStr

import chatstore
from chatstore.models import Embedding, Kind, NewDocument, Side, Stage
from chatstore.redis.notifications import SETTING
from chatstore.settings import load_settings
from tests.flags import Flags
from tests.log import lines_of_the_log


@pytest.fixture
async def telling(client):
    """Has the server tell of writes; it is shared, so no longer than a test."""
    await client.config_set(SETTING, "Kgh")
    yield
    await client.config_set(SETTING, "")


@pytest.fixture
def chat_only(redis_database, settings, monkeypatch):
    """Settings of an app that moves its chats, and repairs at once what it can."""
    monkeypatch.setattr("chatstore.app._YOUNG", timedelta(0))
    monkeypatch.setattr("chatstore.app._REPAIR_EVERY", 0.05)
    return load_settings(
        redis_url=redis_database,
        supabase_url=settings.supabase_url,
        supabase_secret_key=settings.supabase_secret_key,
    )


@pytest.fixture
async def log():
    with lines_of_the_log() as lines:
        yield lines


async def dual_writing(store, stage=Stage.DUALWRITE):
    store.stages._client = Flags(stage).client
    for side in Side:
        await store.sides[side].journal.remember(journal_open=True)


async def test_an_app_brings_to_the_new_side_what_another_program_writes(chat_only, app, telling, log, namespace):
    async with chatstore.open(chat_only, notice=True) as stores:
        await dual_writing(stores.chat)
        await log.until("chat: notices")
        await app.conversation(namespace, 2, user=namespace)
        await log.until("chat: 1 record that another program wrote is marked")
        new = stores.chat.sides.new
        while not [change async for page in new.fetch([namespace]) for change in page.changes]:
            await log.until("cleared")
        assert [message.content for message in await new.messages(namespace, namespace)] == ["0", "1"]


async def test_an_app_says_that_its_server_does_not_tell(chat_only, log, monkeypatch):
    monkeypatch.setattr("chatstore.redis.notifications._PROBED_WITHIN", 0.1)
    async with chatstore.open(chat_only, notice=True):
        assert f"set its {SETTING} to Kgh" in await log.until("is not noticed")


async def test_an_app_can_ask_how_far_its_sides_are_apart(chat_only, chroma_url, namespace):
    both = chat_only.model_copy(update={"chroma_url": SecretStr(chroma_url)})
    async with chatstore.open(both, repair=False) as stores:
        await dual_writing(stores.documents, Stage.OFF)
        before = await stores.backlog()
        await stores.documents.upsert(namespace, [NewDocument(id="d", text="t", embedding=Embedding.of([1.0]))])
        after = await stores.backlog()
        assert after[Kind.DOCUMENTS].marks == before[Kind.DOCUMENTS].marks + 1
        assert after[Kind.CHAT] == before[Kind.CHAT]
    async with chatstore.open(chat_only, repair=False) as stores:
        assert list(await stores.backlog()) == [Kind.CHAT]

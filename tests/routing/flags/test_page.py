"""The page on flags: its lines run, over real servers, and its tables name what there is."""

import asyncio
import re
from pathlib import Path

import pytest
from openfeature import api
from openfeature.hook import Hook
from openfeature.provider.no_op_provider import NoOpProvider

import chatstore
from chatstore.models import Kind, Stage, new_id
from chatstore.routing import FLAGS, StageSource, Tracking
from chatstore.routing.flags.client import DOMAIN
from chatstore.routing.flags.file import StageFlag, with_flag
from chatstore.routing.flags.tracking import CALL, COMPARED, MISMATCH, SECOND
from tests.routing.flags.services import Service, until

PAGE = (Path(__file__).parents[3] / "docs" / "flags.md").read_text()
BLOCKS = dict(re.findall(r"<!-- example: (\w+) -->\n```python\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def two_sides(redis_database, settings, monkeypatch, tmp_path):
    """Settings of an app with both sides of chats, in the environment."""
    monkeypatch.chdir(tmp_path)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CHROMA_URL")
    monkeypatch.setenv("REDIS_URL", redis_database)
    yield
    api.set_provider_and_wait(NoOpProvider(), DOMAIN)  # Others' tests open stores of this domain, too.


async def run(name, user, **names):
    body = "".join(f"    {line}\n" for line in BLOCKS[name].replace("user-1", user).splitlines())
    scope = dict(names)
    exec(f"async def example():\n{body}    return locals()", scope)
    return await scope["example"]()


async def test_a_provider_moves_the_app_and_says_why(two_sides, capsys):
    service = Service(Stage.DUALWRITE, variant="everybody")
    found = await run("provider", new_id(), provider=service)
    assert capsys.readouterr().out == "dualwrite flag TARGETING_MATCH everybody\n"
    report = found["stores"].stages()
    assert {kind: each.flag for kind, each in report.items()} == {Kind.CHAT: "chatstore-chat-stage"}
    assert report[Kind.CHAT].provider.domain == "chatstore"
    assert report[Kind.CHAT].recorded is Stage.DUALWRITE
    assert found["stores"].stages_of("nobody") == {}


async def test_a_clients_hooks_and_context_count(two_sides):
    heard = []

    class Heard(Hook):
        def finally_after(self, hook_context, details, hints):
            heard.append((hook_context.flag_key, details.value))

    service = Service(Stage.DUALWRITE)
    api.set_provider_and_wait(service, "my-app")
    await run("client", user := new_id(), hook=Heard())
    assert heard == [(FLAGS[Kind.CHAT], "dualwrite")]
    assert service.asked[0].attributes["region"] == "eu"
    assert service.asked[0].targeting_key == user


async def test_tracking_tells_a_share(two_sides, monkeypatch):
    service = Service(Stage.DUALWRITE)
    api.set_provider_and_wait(service, "chatstore")
    monkeypatch.setitem(BLOCKS, "tracking", BLOCKS["tracking"].replace("share=0.05", "share=1"))
    await run("tracking", new_id())
    assert {name for name, _, _ in service.tracked} == {CALL, SECOND}
    assert {details.attributes["kind"] for _, _, details in service.tracked} == {"chat"}


async def test_a_flag_file_is_followed_and_while_it_is_broken_the_stores_say_so(two_sides, monkeypatch, tmp_path):
    path = tmp_path / "flags.json"
    monkeypatch.setenv("FLAGD_DEADLINE_MS", "50")
    monkeypatch.setenv("CHATSTORE_FLAG_FILE", str(path))

    def write(text):
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").replace(path)

    write(with_flag("", Kind.CHAT, StageFlag(default=Stage.OFF)))
    user = new_id()
    async with chatstore.open(flags=f"test-{user}") as stores:
        session = await stores.chat.create_session(user)
        assert stores.stages_of(user)[Kind.CHAT].variant == "off"
        await asyncio.to_thread(write, with_flag("", Kind.CHAT, StageFlag(default=Stage.DUALWRITE)))
        await moved(stores, user, Stage.DUALWRITE)
        await asyncio.to_thread(write, "{")
        await until(lambda: stores.stages()[Kind.CHAT].provider.message is not None)
        assert stores.stages()[Kind.CHAT].provider.status == "ERROR"
        await stores.chat.append(user, session.id, chatstore.NewMessage("user", "hello"))
        decision = stores.stages_of(user)[Kind.CHAT]
        assert (decision.stage, decision.source) == (Stage.DUALWRITE, StageSource.FLAG)
        assert "JSON" in stores.stages()[Kind.CHAT].provider.message
        await asyncio.to_thread(write, with_flag("", Kind.CHAT, StageFlag(default=Stage.SHADOW)))
        await moved(stores, user, Stage.SHADOW)
        await until(lambda: stores.stages()[Kind.CHAT].provider.status == "READY")
        assert stores.stages()[Kind.CHAT].fallbacks == 0


async def moved(stores, user, stage):
    async with asyncio.timeout(20):
        while stores.stages_of(user)[Kind.CHAT].stage is not stage:
            await stores.chat.list_sessions(user)
            await asyncio.sleep(0.02)


def test_blocking_stores_ask_a_client_of_the_apps_and_track(two_sides):
    service = Service(Stage.DUALWRITE).provide()
    with chatstore.open_blocking(flags=service.client, tracking=Tracking(share=1.0)) as stores:
        stores.chat.create_session(user := new_id())
        assert stores.stages_of(user)[Kind.CHAT].stage is Stage.DUALWRITE
        assert stores.stages()[Kind.CHAT].provider.name == "a service of tests"
    assert [context.targeting_key for context in service.asked] == [user]
    assert {name for name, _, _ in service.tracked} == {CALL, SECOND}


async def test_at_one_side_alone_there_are_no_stages(redis_database, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_database)
    async with chatstore.open() as stores:
        await stores.chat.create_session("u")
        assert (stores.stages(), stores.stages_of("u")) == ({}, {})


def test_the_page_names_what_there_is():
    assert all(f"`{flag}`" in PAGE for flag in FLAGS.values())
    assert all(f"`{stage.value}`" in PAGE for stage in Stage)
    assert all(f"`{source.value}`" in PAGE for source in StageSource)
    assert all(f"`{event}`" in PAGE for event in (CALL, COMPARED, MISMATCH, SECOND))
    assert f"Tracking(share={Tracking().share}, per_second={Tracking().per_second})" in PAGE

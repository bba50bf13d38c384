"""The page on users says what the code does: its app runs, and its settings are those that there are."""

import re
from pathlib import Path

import httpx
import pytest

import chatstore
from chatstore.settings import Settings, load_settings, setting_name
from tests.identity.issuer import APP

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "users.md").read_text()


@pytest.fixture
def app(issuer, redis_database, monkeypatch, tmp_path):
    """The app that the page shows, at stage `off`."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "REDIS_URL": redis_database,
        "CHATSTORE_TOKEN_ISSUER": issuer.url,
        "CHATSTORE_TOKEN_PARTIES": f"https://other.example.com, {APP}",
    }.items():
        monkeypatch.setenv(name, value)
    [block] = re.findall(r"<!-- example: fastapi -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    scope = {"__name__": "the_pages_app"}
    exec(block, scope)
    return scope["app"]


async def test_the_pages_app_serves_each_user_his_own_chats(app, issuer):
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://app") as http,
    ):
        session = await app.state.stores.chat.create_session("ann", title="An order")
        await app.state.stores.chat.append("ann", session.id, chatstore.NewMessage("user", "Where is it?"))

        async def get(path, token):
            return await http.get(path, headers={} if token is None else {"Authorization": f"Bearer {token}"})

        mine = await get("/chats", issuer.token("ann"))
        assert mine.json() == [{"id": session.id, "title": "An order"}]
        assert (await get(f"/chats/{session.id}", issuer.token("ann"))).json() == [
            {"role": "user", "content": "Where is it?"}
        ]
        assert (await get("/chats", issuer.token("ben"))).json() == []
        assert (await get(f"/chats/{session.id}", issuer.token("ben"))).status_code == 404
        for refused in (None, "", "hello", issuer.token("ann", exp=1), issuer.token("ann", azp="https://evil.example")):
            answer = await get("/chats", refused)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert not refused or refused not in answer.text


async def test_the_pages_app_says_so_when_the_issuer_gives_no_keys(app, issuer):
    issuer.status = 500
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://app") as http,
    ):
        answer = await http.get("/chats", headers={"Authorization": f"Bearer {issuer.token('ann')}"})
        assert answer.status_code == 503


def test_the_settings_on_the_page_and_in_the_template_are_those_that_there_are():
    there = {setting_name(field) for field in Settings.model_fields}
    template = set(re.findall(r"^(\w+)=", (ROOT / ".env.local.template").read_text(), re.MULTILINE))
    assert template == there
    assert set(re.findall(r"\b(?:CHATSTORE_TOKEN|SUPABASE)_[A-Z_]+", PAGE)) <= there


def test_parties_are_read_from_a_text(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHATSTORE_TOKEN_PARTIES", " https://a.example , https://b.example,")
    assert load_settings().token_parties == ("https://a.example", "https://b.example")
    monkeypatch.setenv("CHATSTORE_TOKEN_ISSUER", "clerk.example.com")
    with pytest.raises(chatstore.ConfigurationError, match="CHATSTORE_TOKEN_ISSUER is malformed"):
        load_settings()

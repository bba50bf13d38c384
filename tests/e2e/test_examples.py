"""Every example runs, and so does the README's code."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

import chatstore
from chatstore.settings import load_settings
from tests.e2e.langchain_app import say
from tests.e2e.test_app import embed

ROOT = Path(__file__).parents[2]
OWNERSHIP = ROOT / "docs" / "ownership.md"
SAYS = {
    "adopt": "user: Where is my order?\nassistant: It left us this morning.\n",
    "blocking": "['Where is my order?']\n",
    "migrate": "copied 0 sessions, 0 messages\nboth sides are equal\n",
    "own_clients": "Green tea (0.9",
}


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "examples").glob("*.py")))
def test_an_example_runs(name, redis_database, settings, empty_supabase, tmp_path):
    environment = {**os.environ, **settings.environment(), "REDIS_URL": redis_database}
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(SAYS[name])


async def test_the_readmes_lines_run(redis_database, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_database)
    blocks = dict(
        re.findall(r"<!-- example: (\w+) -->\n```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    )
    assert set(blocks) == {"adopt", "clients"}
    names = {"redis": None, "supabase": None, "chroma": None, "embed": embed}
    for block in blocks.values():
        body = "".join(f"    {line}\n" for line in block.splitlines())
        scope = dict(names)
        exec(f"async def example():\n{body}    return locals()", scope)
        result = await scope["example"]()
        assert result.get("history") or result["matches"]


async def test_the_lines_on_ownership_run(redis_database, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_database)
    monkeypatch.setenv("CHATSTORE_LAYOUT", "langchain")
    with Redis.from_url(redis_database) as client:
        say(client, "s1", "Where is my order?")
        say(client, "s2", "Another's question.")
    [block] = re.findall(r"<!-- example: ownership -->\n```python\n(.*?)```", OWNERSHIP.read_text(), re.DOTALL)
    body = "".join(f"    {line}\n" for line in block.splitlines())
    scope = {"OWNERS": {"s1": "17", "s2": "18"}}
    exec(f"async def example():\n{body}    return locals()", scope)
    assert [session.id for session in (await scope["example"]())["sessions"].items] == ["s1"]


def test_the_forms_on_ownership_say_what_the_table_says(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "owners.csv").write_text("key,user\nmessage_store:42,ana\n")
    (tmp_path / "myapp").mkdir()
    (tmp_path / "myapp" / "chats.py").write_text("owner_of = {'message_store:42': 'ana'}.get\n")
    rows = re.findall(
        r"^\| `(\w+:[^`]*)` \|[^|]*(?:`[^`]*`)?[^|]*\| `([^`]*)` \| `([^`]*)` \|$", OWNERSHIP.read_text(), re.MULTILINE
    )
    assert {setting.partition(":")[0] for setting, _, _ in rows} == {"key", "csv", "all", "call"}
    for setting, key, user in rows:
        assert chatstore.load_owners(setting).owner_of(key) == user


def test_the_table_of_users_on_ownership_is_one(tmp_path):
    [table] = re.findall(r"```\n(old,new\n.*?)```", OWNERSHIP.read_text(), re.DOTALL)
    (tmp_path / "users.csv").write_text(table)
    users = chatstore.load_users(f"csv:{tmp_path / 'users.csv'}")
    assert [users.new_of(old) for old in ("17", "18", "ben")] == ["user_2abc", "user_2abd", "ben"]


async def test_with_tokens_a_user_is_served_under_row_level_security(settings, token_for, namespace):
    given = load_settings(
        supabase_url=settings.supabase_url, supabase_secret_key=settings.supabase_secret_key
    ).model_copy(update={"redis_url": None, "chroma_url": None, "chroma_path": None})
    user = f"{namespace}-user"

    async def own(user_id):
        return token_for(user_id)

    async def foreign(user_id):
        return token_for(f"somebody else than {user_id}")

    async with chatstore.open(given, token_of=own) as stores:
        session = await stores.chat.create_session(user)
        with pytest.raises(chatstore.ConfigurationError, match="no document store"):
            _ = stores.documents
    async with chatstore.open(given, token_of=foreign) as stores:
        for call in (stores.chat.get_session(user, session.id), stores.chat.create_session(user)):
            with pytest.raises(chatstore.TokenRefusedError, match="another user"):
                await call

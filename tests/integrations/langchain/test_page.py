"""The page's lines run, on the app's own Redis."""

import json
import re
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage, messages_from_dict
from redis import Redis

from tests.integrations.langchain.embedding import Words

PAGE = Path(__file__).parents[3] / "docs" / "integrations" / "langchain.md"
BLOCKS = dict(re.findall(r"<!-- example: (\w+) -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL))


@pytest.fixture
def app(redis_database, monkeypatch, tmp_path):
    """An app that has LangChain's chats and documents, all of one user."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_database)
    monkeypatch.setenv("CHATSTORE_LAYOUT", "langchain")
    monkeypatch.setenv("CHATSTORE_OWNERS", "all:user-1")
    monkeypatch.setenv("CHATSTORE_DOCUMENT_OWNERS", "all:user-1")
    with Redis.from_url(redis_database) as client:
        yield client


def lines(name):
    return "".join(f"    {line}\n" for line in BLOCKS[name].splitlines())


async def test_the_async_lines_run(app):
    scope = {"embedding": Words()}
    for name in ("langchain_history", "langchain_documents"):
        exec(f"async def {name}():\n{lines(name)}    return locals()", scope)
    said = [HumanMessage("Where is my order?"), AIMessage("It left us this morning.")]
    assert (await scope["langchain_history"]())["messages"] == said
    items = app.lrange("message_store:session-1", 0, -1)
    assert messages_from_dict([json.loads(item) for item in reversed(items)]) == said
    result = await scope["langchain_documents"]()
    assert [document.page_content for document in result["found"]] == ["Green tea is steamed."]
    assert len(result["diverse"]) == 2


def test_the_blocking_lines_run(app):
    scope = {"embedding": Words()}
    exec(f"def example():\n{lines('langchain_blocking')}    return locals()", scope)
    result = scope["example"]()
    assert [document.page_content for document in result["found"]] == ["Green tea is steamed."]
    assert app.llen("message_store:session-1") == 1


def test_no_line_is_left_out():
    assert set(BLOCKS) == {"langchain_history", "langchain_documents", "langchain_blocking"}

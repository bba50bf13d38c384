"""The page's lines run."""

import re
from pathlib import Path

import pytest
from llama_index.core import Settings
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.schema import TextNode

PAGE = Path(__file__).parents[3] / "docs" / "integrations" / "llamaindex.md"


@pytest.fixture(autouse=True)
def no_download(monkeypatch):
    """LlamaIndex's default tokenizer may be fetched from its maker."""
    monkeypatch.setattr("llama_index.core.global_tokenizer", str.split)
    monkeypatch.setattr(Settings, "_tokenizer", str.split)


def lines(name):
    [block] = re.findall(rf"<!-- example: {name} -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    body = "".join(f"    {line}\n" for line in block.splitlines())
    return f"async def example():\n{body}    return locals()"


async def test_the_pages_lines_on_chats_run(redis_database, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_database)
    monkeypatch.setenv("CHATSTORE_CHAT_LAYOUT", "llamaindex")
    monkeypatch.setenv("CHATSTORE_OWNERS", "all:user-1")
    for turns in (1, 2):
        scope = {"message": ChatMessage("Where is my order?", role="user")}
        exec(lines("llamaindex_chat"), scope)
        assert (await scope["example"]())["history"] == [scope["message"]] * turns


async def test_the_pages_lines_on_documents_run(redis_database, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_database)
    nodes = [TextNode(id_=name, text=name) for name in ("tea", "coffee", "milk")]
    scope = {"nodes": nodes, "embed_model": MockEmbedding(embed_dim=3)}
    exec(lines("llamaindex_documents"), scope)
    found = (await scope["example"]())["found"]
    assert len(found) == 2
    assert {each.node.text for each in found} <= {"tea", "coffee", "milk"}
    assert [each.score for each in found] == pytest.approx([1, 1])

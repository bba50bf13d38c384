"""The page's lines run."""

import re
from pathlib import Path

from tests.integrations.agent_framework.test_history_provider import Echo

PAGE = Path(__file__).parents[3] / "docs" / "integrations" / "agent-framework.md"


async def test_the_pages_lines_run(redis_database, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_database)
    monkeypatch.setenv("CHATSTORE_LAYOUT", "agent-framework")
    monkeypatch.setenv("CHATSTORE_CHAT_PREFIX", "chat_messages|v2||app|||")
    monkeypatch.setenv("CHATSTORE_OWNERS", "all:user-1")
    [block] = re.findall(r"<!-- example: agent_framework -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    body = "".join(f"    {line}\n" for line in block.splitlines())
    scope = {"client": Echo()}
    exec(f"async def example():\n{body}    return response.text", scope)
    assert [await scope["example"]() for _ in range(2)] == ["I was given 1", "I was given 3"]

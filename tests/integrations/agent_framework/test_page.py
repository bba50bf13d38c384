"""The page's lines run."""

import re
import subprocess
import sys
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


def test_the_package_is_imported_only_by_the_integration_which_says_what_is_missing():
    code = """
import sys
import chatstore
assert "agent_framework" not in sys.modules
sys.modules["agent_framework"] = None
import chatstore.integrations.agent_framework
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].endswith("pip install 'chatstore[agent-framework]'")

"""The page's lines run."""

import re
from pathlib import Path

from google.genai.types import Content

from tests.integrations.google_adk.test_session_service import Counting, text

PAGE = Path(__file__).parents[3] / "docs" / "integrations" / "google-adk.md"


async def test_the_pages_lines_run(redis_database, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_database)
    [block] = re.findall(r"<!-- example: google_adk -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    body = "".join(f"    {line}\n" for line in block.splitlines())
    for given in (1, 3):
        scope = {"agent": Counting(name="counting"), "message": Content(role="user", parts=[text("Hello")])}
        exec(f"async def example():\n{body}", scope)
        await scope["example"]()
        assert f"I was given {given}'" in capsys.readouterr().out

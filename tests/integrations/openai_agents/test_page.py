"""The page's lines run."""

import re
from pathlib import Path

from agents import Agent, RunConfig, Runner

from tests.integrations.openai_agents.test_run import Parrot, order

PAGE = Path(__file__).parents[3] / "docs" / "integrations" / "openai-agents.md"


async def test_the_pages_lines_run(redis_database, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_database)
    monkeypatch.setenv("CHATSTORE_LAYOUT", "openai-agents")
    monkeypatch.setenv("CHATSTORE_OWNERS", "all:user-1")
    [block] = re.findall(r"<!-- example: openai_agents -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    body = "".join(f"    {line}\n" for line in block.splitlines())
    scope = {"agent": Agent(name="Assistant", model=Parrot(), tools=[order])}
    exec(f"async def example():\n{body}    return result", scope)
    monkeypatch.setattr(Runner, "run", quiet(Runner.run))
    for items in (4, 8):
        result = await scope["example"]()
        assert result.final_output == "the order 17 left at nine"
        assert len(result.to_input_list()) == items


def quiet(run):
    """Runs without tracing, which would call a server of the SDK's maker."""
    return lambda *args, **kwargs: run(*args, run_config=RunConfig(tracing_disabled=True), **kwargs)

"""The page's lines run."""

import re
from pathlib import Path

import pytest

import chatstore
from tests.integrations.langgraph.test_saver import said
from tests.integrations.langgraph.test_seed import graph_with
from tests.integrations.langgraph.test_store import embed

PAGE = Path(__file__).parents[3] / "docs" / "integrations" / "langgraph.md"
BLOCKS = dict(re.findall(r"<!-- example: (\w+) -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL))


@pytest.fixture
def run(redis_database, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_database)

    async def run(name, **given):
        body = "".join(f"    {line}\n" for line in BLOCKS[name].splitlines())
        exec(f"async def example():\n{body}    return locals()", given)
        return await given["example"]()

    return run


async def test_the_checkpointers_lines_run(run):
    for said_before in (0, 2):
        result = (await run("langgraph_saver", builder=graph_with(None).builder))["result"]
        assert said(result)[said_before:] == ["Where is my order?", f"you said {said_before + 1} things"]


async def test_the_seeds_lines_run(run, capsys):
    from langgraph.checkpoint.memory import InMemorySaver  # noqa: PLC0415

    async with chatstore.open() as stores:
        session = await stores.chat.create_session("user-1")
        await stores.chat.append("user-1", session.id, chatstore.NewMessage("user", "Where is my order?"))
    graph = graph_with(InMemorySaver())
    await run("langgraph_seed", graph=graph)
    assert capsys.readouterr().out == "1 threads seeded; 0 sessions refused\n"
    assert said((await graph.aget_state({"configurable": {"thread_id": session.id}})).values) == ["Where is my order?"]


async def test_the_stores_lines_run(run):
    [found] = (await run("langgraph_store", embed=embed))["found"]
    assert (found.key, found.value["rating"]) == ("tea", 5)


def test_all_of_them_run():
    assert set(BLOCKS) == {"langgraph_saver", "langgraph_seed", "langgraph_store"}

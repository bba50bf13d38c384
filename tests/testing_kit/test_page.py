"""The page on testing says what is so, and its lines run: in an app's own tests, and in those of somebody else's store."""

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from chatstore.models import NewDocument, NewMessage, Stage
from tests.e2e.test_app import embed

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
BLOCKS = dict(re.findall(r"<!-- example: (\w+) -->\n```python\n(.*?)```", PAGE, re.DOTALL))
SUITES = re.findall(r"^\| `(\w+)\.(\w+)` \|.*\| `(\w+)` \|$", PAGE, re.MULTILINE)


def run(name):
    scope = {}
    exec(BLOCKS[name], scope)
    return scope


async def test_stores_in_memory_are_an_apps_stores():
    stores = run("stores")["memory_stores"](embed)
    session = await stores.chat.create_session("user-1")
    await stores.chat.append("user-1", session.id, NewMessage("user", "Hello"))
    await stores.documents.upsert("user-1", NewDocument("Green tea is steamed.", title="Tea"))
    [match] = await stores.documents.search("user-1", "tea", k=1)
    assert match.document.title == "Tea"


@pytest.mark.parametrize("stage", list(Stage))
async def test_an_app_is_tested_at_every_stage(stage):
    has = await run("router")["what_the_new_side_has"](stage)
    assert has == ([] if stage is Stage.OFF else ["An order"])


def test_a_suite_finds_a_store_right_and_another_one_wrong(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    (tmp_path / "test_mine.py").write_text(BLOCKS["suite"])
    forgetful = BLOCKS["suite"].replace("yield MemoryChat(Side.NEW)", "yield Forgetful(Side.NEW)")
    head = (
        "class Forgetful(MemoryChat):\n    async def count_messages(self, user_id, session_id):\n        return 0\n\n\n"
    )
    (tmp_path / "test_forgetful.py").write_text(forgetful.replace("class TestMyStore", f"{head}class TestMyStore"))
    right, wrong = (
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name],
            check=False,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        for name in ("test_mine.py", "test_forgetful.py")
    )
    assert right.returncode == 0, right.stdout
    assert wrong.returncode == 1
    assert "FAILED test_forgetful.py::TestMyStore::test_messages_come_back_in_order_and_whole" in wrong.stdout


@pytest.mark.parametrize(("module", "name", "fixture"), SUITES)
def test_a_suite_asks_for_the_fixture_that_the_page_names(module, name, fixture):
    suite = getattr(importlib.import_module(f"chatstore.testing.{module}"), name)
    asked = [
        set(inspect.signature(test).parameters) - {"self"} - parametrized(test)
        for each, test in vars(suite).items()
        if each.startswith("test_")
    ]
    assert asked
    assert set().union(*asked) == {fixture}


def parametrized(test):
    """Return the arguments that a test has from its own cases."""
    marks = [mark for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
    named = [mark.args[0] for mark in marks]
    return {name.strip() for one in named for name in (one.split(",") if isinstance(one, str) else one)}


def test_every_suite_is_on_the_page():
    folder = Path(importlib.import_module("chatstore.testing").__file__).parent
    found = {
        (file.stem, name)
        for file in folder.glob("*.py")
        for name in re.findall(r"^class (\w+Suite)", file.read_text(), re.MULTILINE)
    }
    assert {(module, name) for module, name, _ in SUITES} == found

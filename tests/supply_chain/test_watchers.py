"""What `make check` runs over the code and over CI's files finds what it is there for."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from pathlib import Path

from tests.supply_chain.locks import REPOSITORY

_PROGRAMS = Path(sysconfig.get_path("scripts"))

_WORKFLOW = """\
name: careless
on: pull_request_target
jobs:
  run:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v4
      - run: echo "${{ github.event.pull_request.title }}"
"""


_CODE = """\
import httpx, pickle, subprocess

def careless(text, cursor):
    subprocess.run(text, shell=True)
    pickle.loads(text)
    eval(text)
    cursor.execute(f"select * from messages where id = {text}")
    httpx.get(text, verify=False)
"""


def test_weak_spots_are_found(tmp_path: Path) -> None:
    (tmp_path / "careless.py").write_text(_CODE)
    said = _said_by("bandit", tmp_path)
    for rule in ("B602", "B301", "B307", "B608", "B501"):
        assert rule in said


def test_a_careless_workflow_is_found(tmp_path: Path) -> None:
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    (tmp_path / ".github" / "workflows" / "careless.yml").write_text(_WORKFLOW)
    said = _said_by("zizmor", tmp_path / ".github" / "workflows")
    for finding in ("dangerous-triggers", "excessive-permissions", "unpinned-uses", "template-injection", "artipacked"):
        assert finding in said


def _said_by(program: str, where: Path) -> str:
    """Return what the line of `make check` finds there instead; that it finds something, it says by its status."""
    line = re.search(rf"^\t\$\(BIN\)/{program} (.+)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert line is not None
    options = [one for one in line[1].split() if not (REPOSITORY / one).is_dir()]
    command = [str(_PROGRAMS / program), *options, str(where)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode != 0
    return done.stdout + done.stderr

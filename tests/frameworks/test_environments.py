"""Environments are built once, whole, and from what is pinned."""

import re
import threading
import time

import pytest

from tests.frameworks import environments
from tests.frameworks.framework import DRIVERS


@pytest.fixture
def built(monkeypatch, tmp_path):
    monkeypatch.setattr(environments, "_BUILT", tmp_path / "built")
    return tmp_path / "built"


@pytest.fixture
def pins(tmp_path):
    file = tmp_path / "some.txt"
    file.write_text("one==1")
    return [file]


def test_an_environment_that_many_want_at_once_is_built_once(built, pins):
    calls, found = [], []

    def build(draft, pins):
        calls.append(draft)
        time.sleep(0.2)
        (draft / "whole").touch()

    def want():
        found.append((environments._built("some", pins, build) / "whole").exists())

    threads = [threading.Thread(target=want) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 5
    assert len(calls) == 1


def test_other_pins_are_built_anew_and_leave_nothing_of_the_old(built, pins):
    def build(draft, pins):
        (draft / "pins").write_text(pins[0].read_text())

    first = environments._built("some", pins, build)
    pins[0].write_text("one==2")
    second = environments._built("some", pins, build)
    assert (second / "pins").read_text() == "one==2"
    assert [folder for folder in built.iterdir() if folder.is_dir()] == [second] != [first]


def test_a_build_that_fails_is_tried_again(built, pins):
    def fail(draft, pins):
        (draft / "half").touch()
        environments._run(["python3", "-c", "import sys; sys.exit('no registry in reach')"])

    with pytest.raises(RuntimeError, match="no registry in reach"):
        environments._built("some", pins, fail)
    folder = environments._built("some", pins, lambda draft, pins: None)
    assert not (folder / "half").exists()
    assert [each for each in built.iterdir() if each.is_dir()] == [folder]


def test_uv_uses_the_index_that_pip_was_given(monkeypatch):
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    assert environments.index_of_pip() == {"UV_DEFAULT_INDEX": "https://mirror.example/simple"}
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://other.example/simple")
    assert environments.index_of_pip() == {}


def test_every_package_is_pinned_by_a_digest_and_no_registry_is_named():
    for file in environments.PINNED.glob("*.txt"):
        for block in re.split(r"\n(?=\S)", file.read_text().strip()):
            assert "==" in block.partition("\n")[0]
            assert "--hash=sha256:" in block
            assert "://" not in block
    assert '"resolved"' not in (environments.PINNED / "javascript" / "package-lock.json").read_text()


def test_every_environment_is_somebodys():
    assert {driver.environment for driver in DRIVERS.values()} == set(environments.environment_names())

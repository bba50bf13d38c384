"""`chatstore up` and `chatstore down`, as programs of their own."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import redis

from chatstore.local import LocalStack
from chatstore.local.state import StateFile

_PROGRAM = [
    sys.executable,
    "-c",
    "import typer; from chatstore.cli.stack import register; app = typer.Typer(); register(app); app()",
]


@pytest.fixture
def data(new_data_folder: Callable[[], Path]) -> Iterator[Path]:
    folder = new_data_folder()
    yield folder
    LocalStack(folder).stop()
    assert leftovers(folder) == []


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*_PROGRAM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def foreground(data: Path) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """Start `up` and return it with the settings that it printed once all servers answer."""
    command = [*_PROGRAM, "up", "--data", str(data), "--json"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return child, json.loads(child.stdout.readline())["settings"]


def end(child: subprocess.Popen[str], number: signal.Signals) -> int:
    child.send_signal(number)
    child.stdout.close()
    return child.wait(timeout=20)


def leftovers(data: Path) -> list[psutil.Process]:
    """Return the processes that work in a data folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd().startswith(str(data)):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_up_detach_then_up_then_down(data: Path, tmp_path: Path):
    env = tmp_path / ".env.local"
    env.write_text("# mine\nOPENAI_API_KEY=kept\nREDIS_URL=redis://old\n")
    first = run("up", "--data", data, "--detach", "--env", env)
    assert (first.returncode, first.stdout) == (0, "")
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    written = env.read_text().splitlines()
    assert written[:2] == ["# mine", "OPENAI_API_KEY=kept"]

    second = run("up", "--data", data)
    assert second.returncode == 0
    assert "running already" in second.stderr
    assert second.stdout.splitlines() == written[2:]
    settings = dict(line.split("=", 1) for line in written[2:])
    with redis.Redis.from_url(settings["REDIS_URL"]) as client:
        assert client.ping()

    keys = [settings["SUPABASE_SECRET_KEY"], urlsplit(settings["SUPABASE_DB_URL"]).password]
    down = run("down", "--data", data, "--json")
    assert (down.returncode, json.loads(down.stdout)["status"]) == (0, "stopped")
    assert leftovers(data) == []
    again = run("down", "--data", data)
    assert again.returncode == 0
    assert "nothing runs" in again.stderr
    said = first.stderr + second.stderr + down.stdout + down.stderr + again.stdout + again.stderr
    assert [key for key in keys if key in said] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_up_leaves_no_process(data: Path, number: signal.Signals):
    child, _ = foreground(data)
    assert leftovers(data)
    assert end(child, number) == 0
    assert leftovers(data) == []


def test_a_signal_in_the_middle_of_a_start_leaves_no_process(data: Path):
    child = subprocess.Popen([*_PROGRAM, "up", "--data", str(data)], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 20
    while not leftovers(data) and time.monotonic() < deadline:
        time.sleep(0.01)
    end(child, signal.SIGTERM)
    assert leftovers(data) == []


@pytest.mark.parametrize("noted", [0, 1, 3])
def test_an_up_that_was_killed_in_the_middle_of_its_start_is_cleaned_up_by_the_next(data: Path, noted: int):
    child = subprocess.Popen([*_PROGRAM, "up", "--data", str(data)], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if leftovers(data) and len(StateFile(data).read().servers) >= noted:
            break
        time.sleep(0.005)
    end(child, signal.SIGKILL)
    child, _ = foreground(data)
    assert LocalStack(data).dead() == []
    end(child, signal.SIGTERM)
    assert leftovers(data) == []


def test_a_killed_up_is_cleaned_up_by_the_next(data: Path):
    child, before = foreground(data)
    end(child, signal.SIGKILL)
    orphans = leftovers(data)
    assert orphans
    child, settings = foreground(data)
    assert settings == before
    assert not set(orphans) & set(leftovers(data))
    end(child, signal.SIGTERM)
    assert leftovers(data) == []


def test_a_killed_up_is_cleaned_up_by_down(data: Path):
    child, _ = foreground(data)
    end(child, signal.SIGKILL)
    assert run("down", "--data", data).returncode == 0
    assert leftovers(data) == []


def test_up_ends_when_down_stops_it(data: Path):
    child, _ = foreground(data)
    assert run("down", "--data", data).returncode == 0
    child.stdout.close()
    assert child.wait(timeout=20) == 0


def test_up_ends_and_says_so_when_a_server_dies(data: Path):
    child, _ = foreground(data)
    os.kill(LocalStack(data).chroma.process.pid, signal.SIGKILL)
    child.stdout.close()
    assert child.wait(timeout=20) == 2
    assert leftovers(data) == []


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    done = run("up", "--data", tmp_path / "file" / "data")
    assert done.returncode == 2
    assert str(tmp_path / "file") in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["up", "down"])
def test_help_has_an_example(command: str):
    assert f"chatstore {command}" in run(command, "--help").stdout

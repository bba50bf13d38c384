"""What guards a local stack is written where its owner alone may read it, and shown nowhere else."""

import os
import stat

import psutil
import pytest

from tests.cli.conftest import program  # noqa: F401


@pytest.fixture
def keys(stack, canaries):
    for number, key in enumerate(stack._state.read().keys.all()):
        canaries.plant(f"key {number}", key)
    return canaries


def files_with(folder, canaries):
    """Yield each file below a folder that holds a key, and who may read it besides its owner."""
    for place, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if each not in {"base", "pg_wal"}]  # Postgres' own, and large
        for name in names:
            path = os.path.join(place, name)  # noqa: PTH118 - a socket, and what is gone by now, are among them
            try:
                mode = os.stat(path).st_mode  # noqa: PTH116
                if stat.S_ISREG(mode) and canaries.found_in(_text(path)):
                    yield os.path.relpath(path, folder), stat.S_IMODE(mode) & 0o077
            except FileNotFoundError:
                continue


def _text(path):
    with open(path, encoding="latin-1") as file:  # noqa: PTH123
        return file.read()


def test_keys_lie_in_files_that_nobody_else_may_read(stack, keys):
    found = dict(files_with(stack.data_dir, keys))
    assert found == {"stack.json": 0, "logs/supabase.log": 0}  # the latter tells its keys when it starts
    assert stat.S_IMODE((stack.data_dir / "logs").stat().st_mode) == 0o700


def test_no_key_is_an_argument_of_a_process(stack, keys):
    for server in stack.servers:
        process = psutil.Process(server.process.pid)
        shown = " ".join(" ".join(each.cmdline()) for each in [process, *process.children(recursive=True)])
        assert keys.found_in(shown) == [], server.name


def test_the_settings_that_up_writes_are_their_owners_alone(stack, keys, program):  # noqa: F811
    file = program.folder / ".env.local"
    file.write_text("OTHER=1\n")
    file.chmod(0o644)
    done = program("up", "--detach", "--data", stack.data_dir, "--env", file)
    assert done.status == 0, done.err
    assert keys.found_in(done.out + done.err) == []
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert keys.found_in(file.read_text())

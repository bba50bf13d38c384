"""The flag file that `chatstore stage` writes: it is others' file, too."""

import json
import subprocess

import pytest

from chatstore.cli.flags import flag_file_held, read_flag, write_flag
from chatstore.models import Kind, Stage
from chatstore.routing import FLAGS
from chatstore.routing.flags.file import StageFlag, parse_flags
from chatstore.settings import load_settings
from tests.cli.conftest import ended


def test_the_file_keeps_its_mode_and_what_others_wrote_and_a_link_stays_a_link(program, verified, flag_file):
    real = program.folder / "real.json"
    real.write_text(json.dumps({"flags": {"theirs": {"state": "ENABLED"}}}))
    real.chmod(0o640)
    flag_file.symlink_to(real)
    assert program("stage", "chat", "shadow").status == 0
    assert flag_file.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert set(json.loads(real.read_text())["flags"]) == {"theirs", FLAGS[Kind.CHAT]}
    assert {path.name for path in program.folder.iterdir()} == {"real.json", "flags.json", ".real.json.lock"}


def test_two_at_once_lose_neither_change(program, stack, redis_database, flag_file):
    program.set(**{**stack.settings.environment(), "REDIS_URL": redis_database, "CHATSTORE_FLAG_FILE": flag_file})
    settings = load_settings()
    with flag_file_held(settings):
        before = read_flag(settings, Kind.CHAT) or StageFlag(default=Stage.OFF)
        other = program.started("stage", "chat", "dualwrite", "--user", "theirs")
        assert other.stderr.readline() == "waits for another `chatstore stage` to end\n"
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(1)
        write_flag(settings, Kind.CHAT, before.for_users(Stage.DUALWRITE, ["mine"]))
    assert ended(other).status == 0
    assert parse_flags(flag_file.read_text())[Kind.CHAT].users == {"mine": Stage.DUALWRITE, "theirs": Stage.DUALWRITE}


def test_a_file_that_cannot_be_written_or_understood_is_named(program, verified):
    program.set(CHATSTORE_FLAG_FILE=program.folder / "nowhere" / "flags.json")
    assert "cannot be written" in program("stage", "chat", "shadow").err
    program.set(CHATSTORE_FLAG_FILE=program.folder)
    assert "cannot be read" in program("stage").err
    bad = program.folder / "bad.json"
    bad.write_text("{")
    program.set(CHATSTORE_FLAG_FILE=bad)
    assert "the flag file is not JSON" in program("stage", "chat", "shadow").err
    assert bad.read_text() == "{"

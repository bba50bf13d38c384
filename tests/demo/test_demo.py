"""The demo in its short form, as `make demo` runs it: a process of its own, judged by its output and exit status."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from chatstore.models import Stage

ROOT = Path(__file__).resolve().parents[2]


def demo(*options, timeout=150):
    return subprocess.run(
        [sys.executable, "-m", "demo", *options], cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.mark.timeout(180)
def test_the_short_demo_walks_all_the_way_and_loses_nothing(tmp_path):
    done = demo("--short", "--keep", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    told = [step for step in re.findall(r"^ *[\d.]+ s  (\w+)", done.stdout, re.MULTILINE) if step in set(Stage)]
    assert told == ["off", "dualwrite", "shadow", "live", "live", "dualwrite", "live", "rampdown", "complete"]
    assert re.search(r"[1-9][\d,]* acknowledged, 0 missing, 0 doubled, 0 back from the dead\.", done.stdout)
    assert "Traceback" not in done.stdout


def test_a_wrong_option_is_exit_status_2():
    assert demo("--no-such-option").returncode == 2

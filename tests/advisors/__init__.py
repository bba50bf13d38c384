"""Supabase's advisors: what its dashboard warns of in a project's database, found by its own command line.

The program comes from npm, pinned as the frameworks' packages are, and is installed when it is first needed.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass

import pytest

from tests.frameworks.environments import ADVISORS, built_modules

_PROGRAM = ("node_modules", "@supabase", "cli-linux-x64", "bin", "supabase")
_FOUND_SOMETHING = 1


@dataclass(frozen=True, slots=True)
class Finding:
    """What an advisor found.

    Attributes:
        lint: The rule, as in `rls_disabled_in_public`.
        about: What it is about, as in `public.messages`.
        detail: What it says.
    """

    lint: str
    about: str
    detail: str


def findings(database_url: str) -> list[Finding]:
    """Return what all advisors find in a database, down to the level of information.

    Skips the test where the program does not run: it is pinned for Linux on x86-64 only.

    Raises:
        RuntimeError: The program could not be installed, or it did not come to a judgement.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("the advisors are pinned for Linux on x86-64")
    program = built_modules("advisors", ADVISORS).joinpath(*_PROGRAM)
    asked = [
        "db",
        "advisors",
        f"--remote={database_url}?sslmode=disable",
        "--type=all",
        "--level=info",
        "--fail-on=info",
    ]
    with tempfile.TemporaryDirectory(prefix="chatstore-advisors-") as home:
        done = subprocess.run(
            [str(program), *asked],
            cwd=home,
            # It keeps a file in its user's home folder, and reports what it is used for unless told not to.
            env={**os.environ, "HOME": home, "SUPABASE_TELEMETRY_DISABLED": "1", "DO_NOT_TRACK": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    if done.returncode == 0 and "No issues found" in done.stdout + done.stderr:
        return []
    try:
        found = [_finding(**each) for each in json.loads(done.stdout)]
    except ValueError:
        found = []
    if done.returncode != _FOUND_SOMETHING or not found:
        raise RuntimeError(f"the advisors came to no judgement ({done.returncode}): {done.stderr[-2000:]}")
    return found


def _finding(name: str, metadata: dict[str, object], detail: str, **_: object) -> Finding:
    return Finding(name, f"{metadata.get('schema')}.{metadata.get('name')}", detail)

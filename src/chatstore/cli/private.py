"""Files that nobody but their owner may read."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def write_private(path: Path, parts: Iterable[str]) -> None:
    """Write a file in one step: whoever looks sees what was there before, or all of it. Its mode is 0600.

    Raises:
        OSError: It cannot be written; what was there before is still there.
    """
    draft = draft_of(path)
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def draft_of(path: Path) -> Path:
    """Return the name of a file beside another one, to write what is to take its place.

    Raises:
        OSError: The path is none of a file, but a folder's: `.` or `/`.
    """
    if not path.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.new")

"""The flag file on the disk."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatstore.cli.output import printable, say
from chatstore.errors import ConfigurationError
from chatstore.models import Kind, Stage
from chatstore.routing.flags.file import StageFlag, parse_flags, with_flag
from chatstore.settings import Settings, require


def read_flag(settings: Settings, kind: Kind) -> StageFlag | None:
    """Return the stage flag of a kind; None when no flag file is named, or it holds no such flag.

    Raises:
        ConfigurationError: The file cannot be read or understood.
    """
    if settings.flag_file is None:
        return None
    return parse_flags(_text(settings.flag_file)).get(kind)


@contextmanager
def flag_file_held(settings: Settings) -> Iterator[None]:
    """Keep every other `chatstore stage` from changing the flag file until the block ends; wait for one that is at it.

    What was read inside is still so when it is written. The operating system lets go of it when its holder dies. Where
    that knows no such locks (Windows), whoever sets stages has to see to it that nobody else does.

    Raises:
        ConfigurationError: No flag file is named, or nothing can be written beside it.
    """
    require(settings, "flag_file")
    if settings.flag_file is None:
        return
    try:
        import fcntl
    except ImportError:
        yield
        return
    path = settings.flag_file.resolve()
    try:
        # A file of its own, because the flag file is replaced; and it stays: to remove it would let two holders in.
        descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise ConfigurationError(f"the flag file {path} cannot be written: {error}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waits for another `chatstore stage` to end")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_flag(settings: Settings, kind: Kind, flag: StageFlag) -> None:
    """Set the stage flag of a kind in the flag file, in one step: whoever reads it sees all of it or nothing.

    Raises:
        ConfigurationError: No flag file is named, or it cannot be understood or written.
    """
    require(settings, "flag_file")
    if settings.flag_file is not None:
        _replace(settings.flag_file.resolve(), with_flag(_text(settings.flag_file), kind, flag))


def describe(flag: StageFlag | None) -> str:
    """Return who is at which stage: `shadow; live for 10 % of the users; off for u1, u2`."""
    if flag is None:
        return "says nothing"
    parts = [str(flag.default)]
    if flag.share is not None:
        parts.append(f"{flag.share.stage} for {flag.share.percent} % of the users")
    for stage in Stage:
        users = sorted(user for user, own in flag.users.items() if own is stage)
        if users:
            parts.append(f"{stage} for {', '.join(map(printable, users))}")
    return "; ".join(parts)


def as_document(flag: StageFlag) -> dict[str, object]:
    """Return a flag as what JSON can hold."""
    return {"default": flag.default, "share": flag.share, "users": dict(flag.users)}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"the flag file {path} cannot be read: {error}") from error


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            draft.chmod(path.stat().st_mode)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ConfigurationError(f"the flag file {path} cannot be written: {error}") from error

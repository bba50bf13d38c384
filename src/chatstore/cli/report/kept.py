"""The option `--report`, and the file that it names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from chatstore.cli.output import say
from chatstore.cli.private import draft_of, write_private
from chatstore.cli.report.record import Record
from chatstore.cli.running import Stopped
from chatstore.errors import ChatStoreError, ConfigurationError
from chatstore.models import utc_now

ReportPath = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE.html", help="Write a page about the run: one file, to keep or to send."),
]


@contextmanager
def kept(path: Path | None, command: str) -> Iterator[Record]:
    """Give what the page is to say, and write it when the block ends, also when it is stopped or fails on the way.

    Args:
        path: The file to write; what it held is replaced in one step. None: no page.
        command: How the command was called.

    Raises:
        ConfigurationError: The file cannot be written; nothing was done before that was known.
    """
    record = Record(command, wanted=path is not None)
    if path is None:
        yield record
        return
    path = path.expanduser()
    _try_out(path)
    try:
        yield record
    except BaseException as error:
        record.stopped = _reason(error)
        # An earlier page is worth more than one about a setting that was missing.
        if record.chapters:
            try:
                _write(path, record)
            except ConfigurationError as failure:
                say(str(failure))
        raise
    _write(path, record)


def _reason(error: BaseException) -> str:
    if isinstance(error, Stopped):
        return f"It was stopped; {error}"
    # What an unexpected error says might hold a password.
    return str(error) if isinstance(error, ChatStoreError) else f"It ended by an unexpected {type(error).__name__}."


def _write(path: Path, record: Record) -> None:
    from chatstore.cli.report.page import page

    record.ended_at = utc_now()
    text = page(record)
    try:
        write_private(path, [text])
    except OSError as error:
        raise ConfigurationError(f"the report {path} cannot be written: {error.strerror or error}") from error
    say(f"report: {path}")


def _try_out(path: Path) -> None:
    """Find out whether the file could be written, and leave nothing behind.

    Raises:
        ConfigurationError: It could not.
    """
    if path.exists() and not path.is_file():
        raise ConfigurationError(f"the report {path} cannot be written: there is something that is no file")
    draft = draft_of(path)
    try:
        draft.touch(exist_ok=False)
        draft.unlink()
    except OSError as error:
        raise ConfigurationError(
            f"the report {path} cannot be written: {error.strerror or error}. Name a file in a folder that is there "
            f"and may be written to"
        ) from error

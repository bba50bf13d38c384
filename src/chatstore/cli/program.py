"""The program around the commands: what becomes of an error, and where log lines go."""

from __future__ import annotations

import json
import logging
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from chatstore.cli.output import Status, printable, say, wants_json
from chatstore.cli.running import Stopped
from chatstore.errors import ChatStoreError

_ALIKE = 20
_CHARACTERS = 1000
"""Of a line: a key may be as long as it likes, and what is wrong with it stands at the end."""


class Program(TyperGroup):
    """The group of all commands: whatever one of them raises ends as one clear line and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        with _logged(debug=ctx.params["debug"]):
            try:
                return super().invoke(ctx)
            except Stopped as stopped:
                _report(ctx, "stopped", stopped, str(stopped))
                raise typer.Exit(Status.STOPPED) from stopped
            except ChatStoreError as error:
                _report(ctx, "error", error, str(error))
                raise typer.Exit(Status.CANNOT) from error
            except Exception as error:
                # Typer's own way to end a program: an exit, a wrong use, a pipe that nobody reads any more.
                if type(error).__module__.startswith("typer") or isinstance(error, BrokenPipeError):
                    raise
                _report(ctx, "error", error, _defect(error))
                raise typer.Exit(Status.CANNOT) from error


def _report(ctx: typer.Context, word: str, error: Exception, text: str) -> None:
    if wants_json(ctx):
        typer.echo(json.dumps({word: {"type": type(error).__name__, "message": text}}))
    say("\n".join(printable(_cut(line)) for line in f"{word}: {text}".splitlines()))
    if ctx.params["debug"]:
        say("".join(traceback.format_exception(error)))


def _defect(error: Exception) -> str:
    """Say where an unexpected error came from; not what it says, which might hold a password."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = "/".join(Path(frame.filename).parts[-2:])
    return (
        f"unexpected {type(error).__name__} at {place}:{frame.lineno}. This is a defect of "
        "chatstore: please report it there, with what `chatstore --debug …` prints (look it over for secrets first)"
    )


@contextmanager
def _logged(*, debug: bool) -> Iterator[None]:
    """Send chatstore's log lines to stderr for the length of a command."""
    logger = logging.getLogger("chatstore")
    handler, before = _ToStderr(), logger.level
    if debug:
        logger.setLevel(logging.DEBUG)
    else:
        handler.addFilter(_FirstOfAKind())
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _ToStderr(logging.Handler):
    """Writes to what stderr is at the moment, which is something else while a progress bar is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        text = f"{record.levelname.lower()}: {record.getMessage()}"
        say(printable(_cut(text)))


def _cut(line: str) -> str:
    return line if len(line) <= _CHARACTERS else f"{line[: _CHARACTERS // 2]} … {line[-_CHARACTERS // 2 :]}"


class _FirstOfAKind(logging.Filter):
    """Lets the first lines of a kind pass: a million bad records are no reason for a million lines."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: Counter[str] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        self._seen[record.msg] += 1
        if self._seen[record.msg] == _ALIKE:
            say("(further lines of this kind are left out)")
        return self._seen[record.msg] < _ALIKE

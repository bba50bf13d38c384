"""What a command says: its answer on stdout, as text or as one JSON object; everything else on stderr."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Annotated, TypeVar

import typer

_Name = TypeVar("_Name", bound=str)

_JSON = "chatstore.json"
_MOMENTS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))


class Status(IntEnum):
    """A command's exit status."""

    DONE = 0
    WRONG_DATA = 1
    CANNOT = 2
    STOPPED = 130


def _note(context: typer.Context, value: bool) -> bool:  # noqa: FBT001 - typer calls it so
    context.meta[_JSON] = value
    return value


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.", callback=_note)]
"""The option `--json`, which every command has."""


def wants_json(context: typer.Context) -> bool:
    """Return whether the command that was called in this context is to answer in JSON."""
    return bool(context.meta.get(_JSON, False))


def answer(document: Mapping[_Name, object], lines: Iterable[str], *, as_json: bool) -> None:
    """Print a command's answer on stdout: the one as JSON, or the others as text."""
    if as_json:
        typer.echo(json.dumps(document, default=_plain))
    else:
        show(lines)


def show(lines: Iterable[str]) -> None:
    """Print a part of the answer on stdout, as text."""
    for line in lines:
        typer.echo(line)


def say(text: str) -> None:
    """Print something that is not the answer, on stderr."""
    typer.echo(text, err=True)


def end(status: Status) -> None:
    """End the command with this exit status."""
    if status is not Status.DONE:
        raise typer.Exit(int(status))


def printable(text: str) -> str:
    """Return text that comes from data so that it can do nothing to a terminal, and stays on its line."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def number(count: int, noun: str) -> str:
    """Return a count with its noun: `1 session`, `1,234 sessions`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def duration(seconds: float) -> str:
    """Return a length of time as people say it: `4.2 s`, `3 min`, `5 h`, `2 days`."""
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.1f} s"


def moment(seconds: float) -> str:
    """Return a short time with three digits: `12 µs`, `1.5 ms`, `2.25 s`."""
    unit, length = next(((unit, length) for unit, length in _MOMENTS if seconds >= length), _MOMENTS[-1])
    return f"{seconds / length:.3g} {unit}"


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"a {type(value).__name__} in an answer")

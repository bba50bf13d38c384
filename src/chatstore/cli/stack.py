"""`chatstore up` and `chatstore down`: the local servers, from the command line."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from chatstore.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from chatstore.local import LocalStack

_CANNOT = 2
_WATCH_SECONDS = 0.5
_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="Where the data, logs and keys lie.")]
_Env = Annotated[
    Path | None,
    typer.Option("--env", metavar="FILE", help="Write the settings to this file, and keep what else is in it."),
]
_Detach = Annotated[bool, typer.Option("--detach", help="Return when every server answers, and let them run.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def register(app: typer.Typer) -> None:
    """Add the commands `up` and `down` to a program."""
    app.command()(up)
    app.command()(down)


class _Stop(BaseException):
    """We were asked to end. Not an Exception, so that nothing on the way takes it for an error."""


def up(data: _Data = Path(".chatstore"), env: _Env = None, *, detach: _Detach = False, as_json: _Json = False) -> None:
    """Start Redis, Supabase and Chroma as real local servers.

    The Redis is a compatible server, the Supabase is its own lightweight one over Postgres. Prints the settings that
    an application needs, then runs until Ctrl-C. The data stays for the next time.

    Example:  chatstore up --detach --env .env.local
    """
    from chatstore.local import LocalStack
    from chatstore.supabase.schema import schema_sql

    stack = LocalStack(data)
    _listen()
    try:
        stack.start(schema_sql(), detached=detach, progress=_say)
        try:
            _serve(stack, env, detach=detach, as_json=as_json)
        except BaseException:
            # Here and not below: if the start failed, it cleaned up, and what runs in that folder is somebody else's.
            if not stack.found:
                stack.stop()
            raise
    except _Stop:
        _say("stopped")
    except (ConfigurationError, UnavailableError, OSError) as error:
        _fail(str(error))


def down(data: _Data = Path(".chatstore"), *, as_json: _Json = False) -> None:
    """Stop the local servers that `chatstore up` started. The data stays.

    Example:  chatstore down
    """
    from chatstore.local import LocalStack

    try:
        stopped = LocalStack(data).stop()
    except (ConfigurationError, UnavailableError, OSError) as error:
        _fail(str(error))
    if as_json:
        typer.echo(json.dumps({"status": "stopped" if stopped else "not running", "data": str(data.resolve())}))
    _say("stopped" if stopped else f"nothing runs in {data}")


def _serve(stack: LocalStack, env: Path | None, *, detach: bool, as_json: bool) -> None:
    """Say how the stack is reached; then stay with it unless somebody else does, or nobody is to."""
    _show(stack, env, as_json=as_json)
    if stack.found:
        _say(f"the stack in {stack.data_dir} was running already")
    elif detach:
        _say(f"the stack runs until  chatstore down --data {stack.data_dir}")
    else:
        _say("Ctrl-C stops the stack")
        _watch(stack)


def _listen() -> None:
    for number in _END:
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    # Asked once is enough: a second Ctrl-C must not leave half of the servers behind. (SIG_IGN would do the same here,
    # but a server that is being started would inherit it.)
    for number in _END:
        signal.signal(number, _disregard)
    raise _Stop


def _disregard(_number: int, _frame: FrameType | None) -> None:
    return


def _show(stack: LocalStack, env: Path | None, *, as_json: bool) -> None:
    settings = stack.settings.environment()
    if env is not None:
        _write_env(env, settings)
        _say(f"settings written to {env}")
    if as_json:
        status = "found" if stack.found else "started"
        typer.echo(json.dumps({"status": status, "data": str(stack.data_dir), "settings": settings}))
    elif env is None:
        for name, value in settings.items():
            typer.echo(f"{name}={value}")


def _write_env(path: Path, settings: dict[str, str]) -> None:
    """Set some variables in a file of `NAME=value` lines, which only its owner may read from then on."""
    before = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in before if line.partition("=")[0].removeprefix("export ").strip() not in settings]
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in kept)
        file.writelines(f"{name}={value}\n" for name, value in settings.items())
    draft.replace(path)


def _watch(stack: LocalStack) -> None:
    """Return when the stack was stopped from elsewhere.

    Raises:
        UnavailableError: A server ended by itself.
    """
    while True:
        time.sleep(_WATCH_SECONDS)
        dead = stack.dead()
        if not stack.is_ours:
            _say("stopped by another process")
            return
        if dead:
            names = ", ".join(f"{server.name} (log: {server.log})" for server in dead)
            raise UnavailableError(f"these servers ended by themselves: {names}; the others were stopped")


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _fail(text: str) -> NoReturn:
    _say(f"error: {text}")
    raise typer.Exit(_CANNOT)

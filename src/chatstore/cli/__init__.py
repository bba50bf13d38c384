"""The command line `chatstore`. A command imports what it works with when it is called, so that `--help` is fast."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from chatstore.cli import (
    acl,
    forget,
    inspect,
    limits,
    migrate,
    quarantine,
    repair,
    schema,
    stack,
    stage,
    status,
    sweep,
    verify,
)
from chatstore.cli.program import Program

_EPILOG = (
    "Exit status: 0 done; 1 something is wrong in the data; 2 used wrongly, or a server cannot be reached; "
    "130 stopped by Ctrl-C. Settings come from the environment, then from .env.local."
)

app = typer.Typer(
    cls=Program, epilog=_EPILOG, no_args_is_help=True, add_completion=False, rich_markup_mode=None, name="chatstore"
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(f"chatstore {version('chatstore')}")
        raise typer.Exit


@app.callback()
def _chatstore(
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show all log lines, and the traceback of an error.")] = False,
) -> None:
    """Move a live app's chat history from Redis to Supabase, and its documents to Chroma, losing nothing.

    The whole migration:  chatstore schema --apply && chatstore migrate && chatstore verify
    """
    del debug


for _commands in (
    stack,
    schema,
    inspect,
    migrate,
    verify,
    limits,
    stage,
    status,
    repair,
    quarantine,
    sweep,
    forget,
    acl,
):
    _commands.register(app)


def main() -> None:
    """Run the program."""
    app(prog_name="chatstore")

"""`chatstore forget`: deletes all that is held of a user, on both sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

import typer

from chatstore.cli.output import AsJson, Status, answer, end, number
from chatstore.cli.running import run
from chatstore.errors import ConfigurationError
from chatstore.models import Forgotten, Kind
from chatstore.models.values import check_id

_User = Annotated[str, typer.Argument(metavar="USER", help="The user's id, as the app has it now.", show_default=False)]
_Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count what would be deleted.")]

_RECORD = {Kind.CHAT: "session", Kind.DOCUMENTS: "document"}


def register(app: typer.Typer) -> None:
    """Add the command to a program."""
    app.command()(forget)


def forget(user: _User, *, yes: _Yes = False, dry_run: _DryRun = False, as_json: AsJson = False) -> None:
    """Delete all that is held of a user, on both sides.

    Sessions, messages and documents, in Redis, Supabase and Chroma. It is the same at every stage, and may run beside
    apps and migrations, none of which brings anything back. When it ends, what the user had when it began is gone.
    Stopped, or with a server away, run it again: it goes on where it was. What the servers keep for a while all the
    same is told by docs/forget.md.

    Example:  chatstore forget user-17 --dry-run
    """
    check_id(user, "user id")
    if not (yes or dry_run):
        _confirm(user)
    done = run(
        _forget(user, dry_run=dry_run),
        afterwards="what is deleted so far stays deleted; to go on: chatstore forget, with the same user",
    )
    document = {"user": user, "dry_run": dry_run, **{kind.value: _document(one) for kind, one in done.items()}}
    answer(document, _lines(done, dry_run=dry_run), as_json=as_json)
    end(Status.DONE if all(one.complete for one in done.values()) else Status.WRONG_DATA)


async def _forget(user: str, *, dry_run: bool) -> Mapping[Kind, Forgotten]:
    from chatstore.backends import Backends
    from chatstore.forgetting import forget as forget_on
    from chatstore.settings import load_settings

    async with Backends(load_settings()) as backends:
        return await forget_on(backends, user, dry_run=dry_run)


def _confirm(user: str) -> None:
    question = (
        f"Delete all sessions, messages and documents of the user {user!r}, on all sides? They cannot be had back"
    )
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        raise ConfigurationError("nobody is there to answer: give --yes to forget the user") from None
    if not agreed:
        raise ConfigurationError("nothing was deleted")


def _document(one: Forgotten) -> dict[str, object]:
    return {
        "records": {side.value: count for side, count in one.records.items()},
        "quarantined": one.quarantined,
        "unreadable": one.unreadable,
        "refused": one.refused,
        "complete": one.complete,
    }


def _lines(done: Mapping[Kind, Forgotten], *, dry_run: bool) -> Iterator[str]:
    for kind, one in done.items():
        counts = ", ".join(f"{number(count, _RECORD[kind])} on the {side} side" for side, count in one.records.items())
        yield f"{kind}: {counts} {'would be deleted' if dry_run else 'deleted'}"
        if one.quarantined:
            yield f"{kind}: {number(one.quarantined, 'record')} taken out of the quarantine"
        if one.unreadable:
            yield (
                f"{kind}: {number(one.unreadable, _RECORD[kind])} in Redis cannot be read, and so not be deleted: "
                f"`chatstore inspect` names them; delete their keys there"
            )
        if one.refused:
            yield (
                f"{kind}: {number(one.refused, 'deletion')} could not be taken over by the other side, which holds "
                f"something else under the same id: chatstore repair --{kind} tells why"
            )

"""`chatstore quarantine`: the records that could not be taken."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Annotated

import typer

from chatstore.cli.kinds import Chat, Documents, named
from chatstore.cli.output import AsJson, Status, answer, end, number, printable
from chatstore.cli.running import run
from chatstore.models import Kind, Quarantined

_PREVIEW_BYTES = 80

_Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="List at most so many of each kind.")]


def register(app: typer.Typer) -> None:
    """Add the group of commands to a program."""
    group = typer.Typer(help="The records that could not be taken.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_quarantined)
    app.add_typer(group, name="quarantine")


def list_quarantined(
    *, chat: Chat = False, documents: Documents = False, limit: _Limit = 100, as_json: AsJson = False
) -> None:
    """List the records that could not be taken, with the reasons.

    They are left in Redis as they are. Mend them there, then run chatstore migrate again: what it can take then leaves
    the quarantine. As long as there are any, the exit status is 1.

    Example:  chatstore quarantine list --chat
    """
    kinds = named(chat=chat, documents=documents) or tuple(Kind)
    found = run(_found(kinds, limit), afterwards="nothing was changed")
    lines = [line for kind, (count, records) in found.items() for line in _lines(kind, count, records)]
    answer({kind: _document(count, records) for kind, (count, records) in found.items()}, lines, as_json=as_json)
    end(Status.WRONG_DATA if any(count for count, _ in found.values()) else Status.DONE)


async def _found(kinds: Sequence[Kind], limit: int) -> dict[Kind, tuple[int, list[Quarantined]]]:
    from chatstore.backends import Backends
    from chatstore.settings import load_settings

    found = {}
    async with Backends(load_settings()) as backends:
        for kind in kinds:
            progress = backends.progress(kind)
            records: list[Quarantined] = []
            async for record in progress.quarantined():
                records.append(record)
                if len(records) == limit:
                    break
            found[kind] = (await progress.count_quarantined(), records)
    return found


def _lines(kind: Kind, count: int, records: Sequence[Quarantined]) -> list[str]:
    lines = [f"{kind}: {number(count, 'record')} in quarantine"]
    for record in records:
        lines += [
            f"  {printable(record.key)}",
            f"    {printable(record.reason)}",
            f"    {number(record.size, 'byte')}: {preview(record.raw)}",
        ]
    if count > len(records):
        lines.append(f"  … and {count - len(records):,} more: chatstore quarantine list --{kind} --limit {count}")
    return lines


def _document(count: int, records: Sequence[Quarantined]) -> dict[str, object]:
    listed = [
        {
            "key": record.key,
            "reason": record.reason,
            "size": record.size,
            "at": record.at,
            "raw": preview(record.raw),
            "raw_base64": base64.b64encode(record.raw).decode(),
        }
        for record in records
    ]
    return {"count": count, "records": listed}


def preview(raw: bytes) -> str:
    """Return how some bytes begin, in characters that do nothing to a terminal."""
    text = printable(raw[:_PREVIEW_BYTES].decode("utf-8", "backslashreplace"))
    return f"{text}…" if len(raw) > _PREVIEW_BYTES else text

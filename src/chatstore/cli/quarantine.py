"""`chatstore quarantine`: the records that could not be taken."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatstore.cli.kinds import Chat, Documents, named
from chatstore.cli.output import AsJson, Status, answer, end, number, printable, say
from chatstore.cli.private import write_private
from chatstore.cli.running import run
from chatstore.errors import ConfigurationError, NotFoundError
from chatstore.models import Kind, Quarantined, RawKept

if TYPE_CHECKING:
    from chatstore.backends import Backends

_UNCHANGED = "nothing was changed"
_HELD = {
    RawKept.PLAIN: "as it is",
    RawKept.ENCRYPTED: "encrypted",
    RawKept.HASH: "as a hash alone",
}
_PLAIN = (
    "Redis keeps what was found there as it is (in chatstore:{kind}:quarantine): texts of users, maybe. "
    "CHATSTORE_QUARANTINE says otherwise."
)

_Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="List at most so many of each kind.")]
_Key = Annotated[str, typer.Argument(metavar="KEY", help="The record's key, as `quarantine list` shows it.")]
_File = Annotated[Path, typer.Argument(metavar="FILE.jsonl", help="Where to; what is there is replaced.")]


def register(app: typer.Typer) -> None:
    """Add the group of commands to a program."""
    group = typer.Typer(help="The records that could not be taken.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_quarantined)
    group.command("show")(show_quarantined)
    group.command("export")(export_quarantined)
    group.command("key")(make_key)
    app.add_typer(group, name="quarantine")


def list_quarantined(
    *, chat: Chat = False, documents: Documents = False, limit: _Limit = 100, as_json: AsJson = False
) -> None:
    """List the records that could not be taken, with the reasons; what they hold is not shown.

    They are left in Redis as they are. Mend them there, then run chatstore migrate again: what it can take then leaves
    the quarantine. As long as there are any, the exit status is 1.

    Example:  chatstore quarantine list --chat
    """
    kinds = named(chat=chat, documents=documents) or tuple(Kind)
    found = run(_found(kinds, limit), afterwards=_UNCHANGED)
    lines = [line for kind, (count, records) in found.items() for line in _lines(kind, count, records)]
    listed = {
        kind: {"count": count, "records": [_told(record) for record in records]}
        for kind, (count, records) in found.items()
    }
    answer(listed, lines, as_json=as_json)
    for kind, (_, records) in found.items():
        if any(record.kept is RawKept.PLAIN and record.size for record in records):
            say(_PLAIN.format(kind=f"{{{kind}}}"))
    end(Status.WRONG_DATA if any(count for count, _ in found.values()) else Status.DONE)


def show_quarantined(key: _Key, *, chat: Chat = False, documents: Documents = False, as_json: AsJson = False) -> None:
    """Show a record that could not be taken, with the raw data that were found: texts of users, maybe.

    Example:  chatstore quarantine show session:42
    """
    kinds = named(chat=chat, documents=documents) or tuple(Kind)
    records = run(_of_key(kinds, key), afterwards=_UNCHANGED)
    if not records:
        raise NotFoundError(
            f"nothing in quarantine has the key {printable(key)}: `chatstore quarantine list` tells what has"
        )
    lines = [line for record in records for line in [*_about(record), *_content(record)]]
    answer({"records": [_whole(record) for record in records]}, lines, as_json=as_json)


def export_quarantined(
    path: _File, *, chat: Chat = False, documents: Documents = False, as_json: AsJson = False
) -> None:
    """Write the records that could not be taken into a file, with their raw data: texts of users, maybe.

    A JSON object a line. Nobody but you may read the file (its mode is 0600).

    Example:  chatstore quarantine export quarantine.jsonl
    """
    kinds = named(chat=chat, documents=documents) or tuple(Kind)
    path = path.expanduser()
    counts = run(_exported(kinds, path), afterwards="no file was written")
    answer(
        {"file": str(path), "records": counts},
        [f"{kind}: {number(count, 'record')}" for kind, count in counts.items()],
        as_json=as_json,
    )
    say(f"written to {path}")


def make_key(*, as_json: AsJson = False) -> None:
    """Make a key for CHATSTORE_QUARANTINE_KEY, which encrypts the raw data of what goes to quarantine from then on.

    To change it, put the new one before the old one, parted by a comma: the first encrypts, each decrypts.

    Example:  chatstore quarantine key
    """
    from chatstore.redis.raw import new_key

    key = new_key()
    answer({"key": key}, [key], as_json=as_json)


async def _found(kinds: Sequence[Kind], limit: int) -> dict[Kind, tuple[int, list[Quarantined]]]:
    found = {}
    async with _backends() as backends:
        for kind in kinds:
            progress = backends.progress(kind)
            records: list[Quarantined] = []
            async for record in progress.quarantined():
                records.append(record)
                if len(records) == limit:
                    break
            found[kind] = (await progress.count_quarantined(), records)
    return found


async def _of_key(kinds: Sequence[Kind], key: str) -> list[Quarantined]:
    async with _backends() as backends:
        return [
            record
            for kind in kinds
            async for record in backends.progress(kind).quarantined()
            if key in (record.key, printable(record.key))
        ]


async def _exported(kinds: Sequence[Kind], path: Path) -> dict[Kind, int]:
    counts = dict.fromkeys(kinds, 0)
    lines: list[str] = []
    async with _backends() as backends:
        for kind in kinds:
            async for record in backends.progress(kind).quarantined():
                counts[kind] += 1
                lines.append(f"{_line(kind, record)}\n")
    try:
        write_private(path, lines)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}") from error
    return counts


@asynccontextmanager
async def _backends() -> AsyncGenerator[Backends, None]:
    from chatstore.backends import Backends
    from chatstore.settings import load_settings

    async with Backends(load_settings()) as backends:
        yield backends


def _lines(kind: Kind, count: int, records: Sequence[Quarantined]) -> list[str]:
    lines = [f"{kind}: {number(count, 'record')} in quarantine"]
    for record in records:
        lines += [f"  {line}" for line in _about(record)]
    if count > len(records):
        lines.append(f"  … and {count - len(records):,} more: chatstore quarantine list --{kind} --limit {count}")
    return lines


def _about(record: Quarantined) -> list[str]:
    return [
        printable(record.key),
        f"  {printable(record.reason)}",
        f"  {number(record.size, 'byte')}, kept {_HELD[record.kept]}",
    ]


def _content(record: Quarantined) -> list[str]:
    if record.sha256 is not None:
        return [f"  SHA-256 {record.sha256}"]
    if record.is_sealed:
        return ["  encrypted with another key than CHATSTORE_QUARANTINE_KEY"]
    text = printable(record.raw.decode("utf-8", "backslashreplace"))
    return [f"  {text}…" if record.size > len(record.raw) else f"  {text}"]


def _told(record: Quarantined) -> dict[str, object]:
    fields = ("key", "reason", "size", "at", "kept")
    return {name: getattr(record, name) for name in fields}


def _whole(record: Quarantined) -> dict[str, object]:
    raw = None if record.is_sealed else base64.b64encode(record.raw).decode()
    return {**_told(record), "raw_base64": raw, "sha256": record.sha256}


def _line(kind: Kind, record: Quarantined) -> str:
    return json.dumps({"kind": kind, **_whole(record), "at": record.at.isoformat()})

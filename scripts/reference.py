"""Writes the pages of the reference that are made from the program itself: its commands and its settings.

.venv/bin/python scripts/reference.py     # docs/reference/commands.md and settings.md; a test holds them equal
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import AliasChoices
from typer.core import TyperGroup
from typer.main import get_command

from chatstore.cli import app
from chatstore.settings import Settings

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

FOLDER = Path(__file__).parent.parent / "docs" / "reference"

_COMMANDS = """# Commands

What `--help` says of every command. How they follow on each other, [the guide](../guide.md) says.

`chatstore --debug COMMAND` shows all log lines, and the traceback of an error; `chatstore --version` prints the
version. Settings come from the environment, then from `.env.local`: [settings](settings.md).

| exit status | |
| --- | --- |
| 0 | done |
| 1 | something is wrong in the data: differences, quarantine |
| 2 | used wrongly, or a server cannot be reached; the message says which and what to check |
| 130 | stopped by Ctrl-C |

Each command takes `--help`. With `--json`, stdout has one JSON object and nothing else; progress and log lines go to
stderr.
"""
_SETTINGS = """# Settings

From the environment, then from `.env.local` in the working directory (template:
[.env.local.template](../../.env.local.template)). An empty value counts as none. A malformed one is named together with
what it is for as soon as it is read.

| variable | is | when left out |
| --- | --- | --- |
"""
_SETTINGS_IN_PYTHON = """
In Python, `chatstore.open(load_settings(redis_url="redis://…"))` sets some of them by their fields' names, which are
the attributes of `Settings`; fields with a password or a key in them are `SecretStr`.

::: chatstore.settings.load_settings

::: chatstore.settings.Settings
    options:
      members: false
"""


def commands() -> str:
    """Return the page on the commands."""
    return _COMMANDS + "".join(_sections(get_command(app), "chatstore"))


def settings() -> str:
    """Return the page on the settings."""
    rows = "".join(_row(field) for field in Settings.model_fields.values())
    return _SETTINGS + rows + _SETTINGS_IN_PYTHON


def _sections(command: Any, path: str) -> Iterator[str]:
    """Yield a section for each command below a group; typer's own classes of click's have no public name."""
    if isinstance(command, TyperGroup):
        for name, one in command.commands.items():
            yield from _sections(one, f"{path} {name}")
    else:
        context = command.make_context(path, [], resilient_parsing=True)
        usage = " ".join(command.collect_usage_pieces(context))
        records = [parameter.get_help_record(context) for parameter in command.get_params(context)]
        options = "".join(
            f"| `{names.replace('|', '/')}` | {_cell(text)} |\n"
            for names, text in filter(None, records)
            if "--help" not in names
        )
        yield f"\n## {path}\n\n```\n{path} {usage}\n```\n\n{_prose(command.help)}\n"
        yield f"\n| option | |\n| --- | --- |\n{options}" if options else ""


def _prose(text: str) -> str:
    """Return a command's help as Markdown: its example, and whatever else is set apart, in a block of its own."""
    paragraphs = []
    for paragraph in re.split(r"\n\s*\n", text.replace("\b\n", "").strip()):
        example = re.fullmatch(r"Examples?:\s+(.*)", paragraph.strip(), re.DOTALL)
        if example:
            lines = "\n".join(line.strip() for line in example[1].splitlines())
            paragraphs.append(f"```\n{lines}\n```")
        else:
            paragraphs.append(paragraph.replace("<", "&lt;"))
    return "\n\n".join(paragraphs)


def _row(field: FieldInfo) -> str:
    alias = field.validation_alias
    names = [str(name) for name in (alias.choices if isinstance(alias, AliasChoices) else [alias])]
    default = "" if field.default in {None, ()} else f"`{field.default}`"
    return f"| {' or '.join(f'`{name}`' for name in names)} | {_cell(field.description or '')} | {default} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


if __name__ == "__main__":
    (FOLDER / "commands.md").write_text(commands(), encoding="utf-8")
    (FOLDER / "settings.md").write_text(settings(), encoding="utf-8")

"""A page of many commands, run in this process: each of them would take a second or more to start, and there are dozens.

It is `run_page` but for that. In a block of bash whose every line is a call of `chatstore` or of a Python file of the page, with
`|| true` behind it where it is to fail, nothing else is started.
"""

import io
import os
import re
import runpy
import shlex
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from typer.testing import CliRunner

from chatstore.cli import app
from tests.docs.page import PageError, blocks_of, compare, run_page

_MAY_FAIL = " || true"


def run_page_quickly(path, environment, folder, monkeypatch):
    """Go through a page as `run_page` does, its environment and folder being this process's meanwhile."""
    for name in [name for name in os.environ if name.startswith(("CHATSTORE_", "REDIS_", "SUPABASE_", "CHROMA_"))]:
        monkeypatch.delenv(name)
    for name, value in {**environment, "COLUMNS": "100", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    blocks = [block for block in blocks_of(Path(path).read_text()) if block.not_run is None]
    for block, after in zip(blocks, [*blocks[1:], None], strict=True):
        where = f"{Path(path).name}, line {block.line}"
        if block.title is not None:
            (folder / block.title).write_text(block.text)
        elif block.language == "bash":
            printed = _run(block.text, where, environment, folder)
            if after is not None and after.language == "text" and after.title is None:
                compare(after.text, printed, f"{Path(path).name}, line {after.line}")


def run_command(line):
    """Call `chatstore` in this process, by a line of bash, and return its exit status and what it printed."""
    _, *arguments = shlex.split(line)
    done = CliRunner().invoke(app, arguments, prog_name="chatstore")
    return done.exit_code, done.output


def _run(text, where, environment, folder):
    lines = [line for line in text.replace("\\\n", "").splitlines() if line and not line.startswith("#")]
    if not all(map(_is_plain, lines)):
        return _in_bash(text, where, environment, folder)
    printed = []
    for line in lines:
        command = line.removesuffix(_MAY_FAIL)
        status, output = run_command(command) if command.startswith("chatstore ") else _python(command)
        printed.append(output)
        if status and command == line:
            raise PageError(f"{where}: {line}\nended with status {status}\nprinted:\n{''.join(printed)}")
    return "".join(printed)


def _is_plain(line):
    command = line.removesuffix(_MAY_FAIL)
    return command.startswith(("chatstore ", "python ")) and not re.search(r"[|&;<>$]| -c ", command)


def _python(command):
    _, file, *arguments = shlex.split(command)
    printed, before = io.StringIO(), sys.argv
    sys.argv = [file, *arguments]
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            runpy.run_path(file, run_name="__main__")
    except SystemExit as end:
        return end.code or 0, printed.getvalue()
    finally:
        sys.argv = before
    return 0, printed.getvalue()


def _in_bash(text, where, environment, folder):
    page = folder.parent / "block.md"
    page.write_text(f"```bash\n{text}```\n")
    try:
        [ran] = run_page(page, environment, folder, seconds=240)
    except PageError as error:
        raise PageError(f"{where}: {error}") from error
    return ran.output

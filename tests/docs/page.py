"""A page of the docs, followed as a reader follows it: block after block, in one folder.

- ```` ```bash ```` is run by `bash -euo pipefail`, each block as a process of its own, which sees nothing but the environment that
  it is given and the programs of this virtual environment. What it leaves running is ended when the page ends.
- ```` ```python title="app.py" ```` (`toml`, `json`, `sql`, `yaml`, `ini`, `text`, too) is written to that file.
- ```` ```text ```` as the next block after one of bash is what that must print, on stdout and stderr together: line by line, where
  `…` in a line stands for any text, and a line that is `…` alone for any lines.
- A block below `<!-- not run: why -->` is left alone, and what it prints with it. All other blocks are illustrations.
"""

import contextlib
import difflib
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

WIDTH = 100
_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,}) *(?P<language>[\w+-]*)(?P<rest>[^`]*)$")
_NOT_RUN = re.compile(r"^ *<!-- not run: *(?P<why>.*?) *-->\s*$")
_OURS = re.compile(r"^(CHATSTORE_|REDIS_|SUPABASE_|CHROMA_|PYTHON|OTEL_|VIRTUAL_ENV)")
_FILES = {"python", "toml", "json", "sql", "yaml", "ini", "text", "bash"}


class PageError(AssertionError):
    """A page does not say what happens."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        line: Where it begins, counted from 1.
        language: What stands behind the fence.
        title: The file that it is, if it is one.
        text: What is in it.
        not_run: Why it is left alone; None when it is not.
    """

    line: int
    language: str
    title: str | None
    text: str
    not_run: str | None


@dataclass(frozen=True)
class Ran:
    """A block of bash that was run.

    Attributes:
        block: The block.
        output: What it printed.
    """

    block: Block
    output: str


def run_page(path, environment, folder, *, seconds=60):
    """Go through a page's blocks in order, and return what was run.

    Args:
        path: The page.
        environment: What its programs find in the environment, beside PATH and the like.
        folder: Where its files go and its programs run; empty.
        seconds: How long a block may take.

    Raises:
        PageError: A block failed, took too long, or printed something else than the page says.
    """
    ran, groups = [], []
    blocks = blocks_of(Path(path).read_text())
    try:
        for block, after in zip(blocks, [*blocks[1:], None], strict=True):
            if block.not_run is not None:
                continue
            where = f"{Path(path).name}, line {block.line}"
            if block.title is not None:
                _write(block, Path(folder), where)
            elif block.language == "bash":
                output = _run(block, environment, Path(folder), seconds=seconds, groups=groups, where=where)
                ran.append(Ran(block, output))
                if after is not None and after.language == "text" and after.title is None and after.not_run is None:
                    compare(after.text, output, f"{Path(path).name}, line {after.line}")
    finally:
        for group in groups:
            _end(group)
    return ran


def blocks_of(text):
    """Return the fenced blocks of a page."""
    blocks, lines, not_run = [], iter(enumerate(text.splitlines(), 1)), None
    for number, line in lines:
        if found := _NOT_RUN.match(line):
            if not found["why"]:
                raise PageError(f"line {number}: say why it is not run")
            not_run = found["why"]
        elif fence := _FENCE.match(line):
            blocks.append(_block(fence, number, lines, not_run))
            not_run = None
        elif line.strip():
            not_run = None
    return blocks


def compare(expected, printed, where):
    """Check that something was printed as expected.

    Raises:
        PageError: It was not.
    """
    wanted = [line.rstrip() for line in expected.strip("\n").splitlines()]
    got = [line.rstrip() for line in printed.strip("\n").splitlines()]
    if not _matches(wanted, got):
        difference = "\n".join(difflib.unified_diff(wanted, got, "the page", "printed", lineterm="", n=100))
        raise PageError(f"{where}: something else was printed\n{difference}")


def _block(fence, number, lines, not_run):
    inside, indent = [], len(fence["indent"])
    for _, line in lines:
        if re.fullmatch(rf" *{fence['ticks']}`* *", line):
            break
        inside.append(line[indent:] if not line[:indent].strip() else line)
    else:
        raise PageError(f"line {number}: the block has no end")
    title = re.search(r'\btitle="([^"]+)"', fence["rest"])
    return Block(number, fence["language"], title and title[1], "".join(f"{line}\n" for line in inside), not_run)


def _write(block, folder, where):
    file = (folder / block.title).resolve()
    if block.language not in _FILES or not file.is_relative_to(folder.resolve()):
        raise PageError(f"{where}: {block.title!r} is no file that a page can make")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(block.text)


def _run(block, environment, folder, *, seconds, groups, where):
    kept = {name: value for name, value in os.environ.items() if not _OURS.match(name)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    surroundings = {**kept, "PATH": path, "COLUMNS": str(WIDTH), "NO_COLOR": "1", **environment}
    # A file and no pipe: what goes on in the background would hold a pipe open.
    printed = folder.parent / f"{folder.name}.printed-{block.line}"
    with printed.open("w+", errors="replace") as file:
        child = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", block.text],
            cwd=folder,
            env=surroundings,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        groups.append(child)
        try:
            status = child.wait(seconds)
        except subprocess.TimeoutExpired:
            status = None
            _end(child)
        output = printed.read_text(errors="replace")
    printed.unlink()
    if status != 0:
        failed = f"took more than {seconds} s" if status is None else f"ended with status {status}"
        raise PageError(f"{where}: {failed}\n{block.text}\nprinted:\n{output}")
    return output


def _end(child):
    """End a block's shell and all that it left running: ask, then kill."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
        for _ in range(150):
            time.sleep(0.02)
            child.poll()
            os.killpg(child.pid, 0)
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _matches(wanted, got):
    """Return whether lines match: `able` holds how many lines of `got` the lines of `wanted` so far may stand for."""
    able = {0}
    for line in wanted:
        if line.strip() == "…":
            able = set(range(min(able), len(got) + 1)) if able else set()
        else:
            pattern = re.compile(".*".join(map(re.escape, line.split("…"))))
            able = {at + 1 for at in able if at < len(got) and pattern.fullmatch(got[at])}
    return len(got) in able

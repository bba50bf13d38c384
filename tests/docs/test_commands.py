"""Every command line, variable and target that the docs name is one that there is."""

import re
import shlex
from enum import Enum
from pathlib import Path

import pytest
from pydantic import AliasChoices
from typer.core import TyperGroup
from typer.main import get_command

from chatstore.cli import app
from chatstore.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]
PROGRAM = get_command(app)
HELD_ELSEWHERE = {"CHATSTORE_SEED", "CHATSTORE_SCHEDULES", "CHATSTORE_KILLS", "CHATSTORE_MESSAGES"}
"""Variables of our own tests and of the example app: each must stand in a file of theirs."""


def code(text):
    """Yield each line of fenced blocks, with lines that `\\` continues as one, and each piece of inline code."""
    for language, block in re.findall(r"^ *```(\w*).*?\n(.*?)^ *``` *$", text, re.MULTILINE | re.DOTALL):
        if language in {"", "bash", "text"}:
            yield from block.replace("\\\n", " ").splitlines()
    prose = re.sub(r"^ *```.*?^ *``` *$", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from (" ".join(piece.split()) for piece in re.findall(r"`([^`]+)`", prose))


def said(text):
    """Yield the arguments of each line that calls the program: its first word, or that after `$`, `&&`, `;`, `(` or `if`."""
    for line in code(text):
        for part in re.split(r"&&|\|\||;|\$\(|(?<!<)\|", line):
            found = re.match(
                r"\s*(?:\$ |if |while |until |! |[A-Z_]+=\S* )*(?:\.venv/bin/)?chatstore (?P<rest>[a-z-].*)", part
            )
            if found:
                yield arguments(found["rest"])


def arguments(rest):
    """Return a line's arguments without comments, redirections and the shell's signs."""
    rest = re.sub(r"(\s\d?>+\s*\S+|\s<\s*\S+|\s&\s*$|\)+\s*$|\s#.*)", " ", rest)
    return shlex.split(rest)


def command_of(words):
    """Return the command that words name, and the words after it; None where they name none."""
    command, place = PROGRAM, 0
    while isinstance(command, TyperGroup) and place < len(words):
        if words[place].startswith("-"):
            if words[place] not in {name for one in command.params for name in one.opts} | {"--help"}:
                return None, words[place:]
            place += 1
            continue
        if is_placeholder(words[place]):
            return command, []
        command, place = command.commands.get(words[place]), place + 1
    return command, words[place:]


def wrong(words):
    """Return what is wrong with a line that calls the program; None when nothing is.

    A placeholder (`…`, `<user>`, `N`, a word in capitals, `$name`) stands for a value, or for whatever follows. So a line is
    looked at word by word, against the command's own parameters, and values are checked where the parameter has choices.
    """
    command, rest = command_of(words)
    if command is None:
        return f"there is no such command: {' '.join(words)}"
    if isinstance(command, TyperGroup):
        return None
    options = {name: one for one in command.params for name in (*one.opts, *one.secondary_opts) if name.startswith("-")}
    positions = [one for one in command.params if one.param_type_name == "argument"]
    rest = list(rest)
    while rest:
        word, *rest = rest
        name, _, value = word.partition("=")
        if name == "--help":
            continue
        if name.startswith("-"):
            if name not in options:
                return f"{command.name} has no option {name}"
            taken = options[name]
            if not taken.is_flag and not value:
                if not rest:
                    continue  # "`--workers`", as a sentence names it
                value, *rest = rest
        elif is_placeholder(word):
            continue
        elif not positions:
            return f"{command.name} takes no {word!r}"
        else:
            taken, value = positions.pop(0), word
        choices = choices_of(taken)
        if value and choices and not is_placeholder(value) and value.strip(",.") not in choices:
            return f"{command.name}: {value!r} is none of {', '.join(choices)}"
    return None


def choices_of(parameter):
    kind = parameter.type_descriptor.annotation
    return [str(choice.value) for choice in kind] if isinstance(kind, type) and issubclass(kind, Enum) else []


def is_placeholder(word):
    return bool(re.fullmatch(r"…|\[.*\]|.*<.+>.*|\$.*|[A-Z][A-Z_.]*|.*…", word))


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_command_line_is_one_that_the_program_takes(page):
    lines = list(said(page.read_text(encoding="utf-8")))
    assert [told for told in map(wrong, lines) if told] == []


def test_command_lines_are_found_and_looked_at():
    found = [line for page in PAGES for line in said(page.read_text(encoding="utf-8"))]
    assert len(found) > 100
    assert wrong(["migrate", "--wrokers", "4"]) == "migrate has no option --wrokers"
    assert wrong(["migrat"]) == "there is no such command: migrat"
    assert wrong(["quarantine", "mend"]) == "there is no such command: quarantine mend"
    assert wrong(["stage", "chats", "live"]).startswith("stage: 'chats' is none of chat, documents")
    assert wrong(["sweep", "everything"]) == "sweep takes no 'everything'"
    assert wrong(["stage", "chat", "<stage>", "--percent", "N"]) is None
    text = "```\nX=1 chatstore up && chatstore down &\n```\nSay `chatstore verify --chat`, and `chatstore.open`.\n"
    assert list(said(text)) == [["up"], ["down"], ["verify", "--chat"]]


def variables():
    aliases = [field.validation_alias for field in Settings.model_fields.values()]
    return {str(name) for one in aliases for name in (one.choices if isinstance(one, AliasChoices) else [one])}


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_variable_of_ours_is_a_setting(page):
    named = set(re.findall(r"\bCHATSTORE_[A-Z_]+\b", page.read_text(encoding="utf-8")))
    assert named - variables() - HELD_ELSEWHERE == set()


def test_each_variable_that_is_no_setting_is_read_by_what_reads_it():
    sources = [
        path.read_text(encoding="utf-8")
        for folder in ("tests", "examples", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if path != Path(__file__)
    ]
    assert {name for name in HELD_ELSEWHERE if not any(name in source for source in sources)} == set()


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_module_and_target_that_is_run_is_there(page):
    lines = list(code(page.read_text(encoding="utf-8")))
    modules = {name for line in lines for name in re.findall(r"\bpython3? -m ([a-z_][\w.]*)", line)}
    ours = {name for name in modules if name.split(".")[0] in {"benchmarks", "chatstore", "demo", "examples", "tests"}}
    places = {name: [ROOT / folder / name.replace(".", "/") for folder in ("", "src")] for name in ours}
    assert {name for name, places in places.items() if not any(runs(place) for place in places)} == set()
    targets = {name for line in lines for name in re.findall(r"(?:^|&& |\$ )make ([a-z]+)", line)}
    made = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert targets - made == set()


def runs(place):
    return place.with_suffix(".py").is_file() or (place / "__main__.py").is_file()

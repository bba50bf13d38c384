"""Seeded bugs: a line of the library is another one for a while."""

import importlib
import inspect
import re
import textwrap
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    """A piece of one function's source, and what stands there instead.

    Attributes:
        where: The function, as `module:name` or `module:Class.name`; the module's name without `chatstore`.
        was: What stands there, once.
        becomes: What stands there in the mutant; further lines are indented as the first one.
    """

    where: str
    was: str
    becomes: str


@dataclass(frozen=True)
class Mutant:
    """A bug, and what must find it.

    Attributes:
        name: Of the test.
        breaks: The promise that it breaks.
        edits: What is changed.
        found_by: The part of the suite that must fail.
        verdict: A pattern for what that must say, of the data.
        drawn: Whether the schedules that hypothesis draws must find it, too.
    """

    name: str
    breaks: str
    edits: tuple[Edit, ...]
    found_by: Callable
    verdict: str
    drawn: bool = False

    def __str__(self):
        return self.name


@contextmanager
def planted(mutant):
    """Let the library have the bug. Everybody's references to its functions see it, as it is their code that changes."""
    with ExitStack() as undo:
        for edit in mutant.edits:
            function = _function(edit.where)
            undo.callback(setattr, function, "__code__", function.__code__)
            function.__code__ = _edited(function, edit)
        yield


def _function(where):
    module, _, path = where.partition(":")
    found = importlib.import_module(f"chatstore.{module}")
    for name in path.split("."):
        found = getattr(found, name)
    return found


def _edited(function, edit):
    source = textwrap.dedent(inspect.getsource(function))
    places = re.findall(f"(?m)^( *).*{re.escape(edit.was)}", source)
    assert len(places) == 1, f"{edit.where} does not say {edit.was!r} once: the mutant must follow the code"
    [indent] = places
    names = dict(function.__globals__)
    exec(compile(source.replace(edit.was, edit.becomes.replace("\n", f"\n{indent}")), edit.where, "exec"), names)
    return names[function.__name__].__code__

"""The Lua scripts that the protocol is made of: put together from their parts, and run by their digests."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

from redis.exceptions import NoScriptError, RedisError

from chatstore.errors import ChatStoreError
from chatstore.redis.client import Argument, Client, our_error

Reply: TypeAlias = Any
"""What a script returns: bytes, numbers and lists of them. `session_replies.py` makes records of it."""


_REMARK = re.compile(r"^ *--.*\n", re.MULTILINE)
_FUNCTION = re.compile(r"^(?:local )?function ((?:layout\.)?\w+)\([^)\n]*\)\n.*?^end\n", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"\b(?:layout\.)?\w+")


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the digest that the server knows it by.

    Attributes:
        source: What it is made of.
        text: What the server runs: the same without the functions that nothing calls, as to make one takes time in
            every run, needed or not.
        sha: Its digest.
    """

    source: str
    text: str = field(init=False)
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        text = _trimmed(self.source)
        object.__setattr__(self, "text", text)
        # SHA-1 is how Redis names scripts; nothing is protected by it.
        object.__setattr__(self, "sha", hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a script."""

    script: Script
    keys: Sequence[bytes]
    arguments: Sequence[Argument]


@cache
def script(*parts: str, layout: str = "") -> Script:
    """Return the script made of parts of the `lua` folder, with a layout's own part behind the first."""
    texts = [lua_part(part) for part in parts]
    return Script("\n".join([texts[0], layout, *texts[1:]]))


@cache
def guarded(whole: Script) -> Script:
    """Return a script, which begins with `values`, that does nothing when it is run after the time it is told first."""
    values = lua_part("values")
    return Script(f"{values}\n{lua_part('deadline')}{whole.source[len(values) :]}")


@cache
def lua_part(name: str) -> str:
    """Return the text of a part of the `lua` folder."""
    return files(__package__).joinpath("lua", f"{name}.lua").read_text("utf-8")


def _trimmed(source: str) -> str:
    """Return a script without remarks, and without those functions at its top that nothing in it names."""
    text = _REMARK.sub("", source)
    uses: dict[str, set[str]] = {}
    for one in _FUNCTION.finditer(text):
        uses.setdefault(one[1], set()).update(_NAME.findall(one[0]))
    named, new = set[str](), set(_NAME.findall(_FUNCTION.sub("", text)))
    while new:
        named |= new
        new = set[str]().union(*(uses[name] for name in new & uses.keys())) - named
    return _FUNCTION.sub(lambda one: one[0] if one[1] in named else "", text)


def flat_fields(fields: Mapping[str, bytes]) -> list[Argument]:
    """Return what `take_list` in `values.lua` reads: how many there are, then fields and values in turn."""
    flat: list[Argument] = [len(fields) * 2]
    for name, value in fields.items():
        flat += [name, value]
    return flat


async def run(client: Client, call: Call) -> Reply:
    """Run a script: one round trip, and a second one when the server does not know it yet.

    Raises:
        ChatStoreError: As `client.our_error` says.
    """
    try:
        return await client.ask(*_command(call))  # one command costs less than a pipeline of one
    except ChatStoreError as error:
        if not isinstance(error.__cause__, NoScriptError):
            raise
    [reply] = await run_all(client, [call])
    return reply


async def run_all(client: Client, calls: Sequence[Call]) -> list[Reply]:
    """Run scripts one after another in one round trip; each is one atomic step, all together are not.

    Raises:
        ChatStoreError: Of the first that failed; the others were run.
    """
    replies = await client.ask_all(map(_command, calls))
    # Twice: the slot of a call may have moved meanwhile, to a node of a cluster that was not known before.
    for _ in range(2):
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if not unknown:
            break
        for text in {calls[i].script.text for i in unknown}:
            await client.load(text)
        again = await client.ask_all(_command(calls[i]) for i in unknown)
        for i, reply in zip(unknown, again, strict=True):
            replies[i] = reply
    for reply in replies:
        if isinstance(reply, RedisError):
            raise our_error(reply, client) from reply
    return replies


def _command(call: Call) -> list[Argument]:
    return ["EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.arguments]

"""Looking at keys: their type, their size, and a little of what they hold, never all of something large."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from redis.exceptions import RedisError

from chatstore.redis.client import Argument, our_error
from chatstore.redis.inspection.reading import Reader
from chatstore.redis.layouts.layout import Sample

_SMALL = 64 * 1024
_ITEM = 256 * 1024
_VALUE = 1024 * 1024
_LARGEST = 32 * _VALUE
_LARGE_ONES = 20
_FIELDS_WEIGHED = 50
_FIELDS = 256
_HEAD = 512
_LENGTHS = {
    "hash": "HLEN",
    "list": "LLEN",
    "set": "SCARD",
    "stream": "XLEN",
    "string": "STRLEN",
    "vectorset": "VCARD",
    "zset": "ZCARD",
}
JSON = "ReJSON-RL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """A key that was met.

    Attributes:
        sample: What a layout is shown of it.
        ttl: How long it lives, in milliseconds; None for ever.
        memory: How many bytes of memory it takes; None where the server does not say.
        length: How many items, fields, members or bytes it has; None of a type that does not say.
    """

    sample: Sample
    ttl: int | None = None
    memory: int | None = None
    length: int | None = None

    @property
    def key(self) -> bytes:
        """The key."""
        return self.sample.key


class Peeker:
    """Looks at keys, some hundred in a few round trips.

    Args:
        reader: The connection.

    Attributes:
        gaps: What the server did not let it find out, and why, by the command that it refused.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.gaps: dict[str, str] = {}
        self._large_left = _LARGE_ONES

    async def peek(self, keys: Sequence[bytes]) -> list[Met]:
        """Return what lies at some keys; without those that are gone.

        Raises:
            ChatStoreError: The server does not answer, or does not let the user look at a key's type.
        """
        types = await self._reader.ask_all(("TYPE", key) for key in keys)
        for answer in types:
            if isinstance(answer, RedisError):
                raise our_error(answer, self._reader) from answer
        present = [(key, kind) for key, kind in zip(keys, map(_text, types), strict=True) if kind != "none"]
        ttls = await self._asked("how long keys live", [("PTTL", key) for key, _ in present])
        # By itself the server looks at five fields, and one large value may be the sixth.
        sizes = await self._asked(
            "how much memory keys take", [("MEMORY", "USAGE", key, "SAMPLES", _FIELDS_WEIGHED) for key, _ in present]
        )
        lengths = await self._lengths(present)
        met = [
            Met(
                sample=Sample(key=key, kind=kind),
                ttl=ttl if ttl is not None and ttl >= 0 else None,
                memory=size,
                length=n,
            )
            for (key, kind), ttl, size, n in zip(present, ttls, sizes, lengths, strict=True)
        ]
        return await self._filled(met)

    async def _lengths(self, present: Sequence[tuple[bytes, str]]) -> list[int | None]:
        wanted = [(at, (_LENGTHS[kind], key)) for at, (key, kind) in enumerate(present) if kind in _LENGTHS]
        answers = await self._asked("how long values are", [command for _, command in wanted])
        found: list[int | None] = [None] * len(present)
        for (at, _), answer in zip(wanted, answers, strict=True):
            found[at] = answer
        return found

    async def _filled(self, met: Sequence[Met]) -> list[Met]:
        """Return the keys with some of what they hold."""
        large = [one for one in met if one.sample.kind == "hash" and not _is_small(one)]
        fields = dict(zip((one.key for one in large), await self._large_hashes(large), strict=True))
        plans = [self._values(one) for one in met]
        answers = iter(await self._asked("what values hold", [command for plan in plans for command in plan]))
        return [
            replace(one, sample=_sample(one, [next(answers) for _ in plan], fields.get(one.key)))
            for one, plan in zip(met, plans, strict=True)
        ]

    def _values(self, one: Met) -> list[Sequence[Argument]]:
        """Return the commands that read a little of what a key holds; of large items and documents only a few are."""
        key, each = one.key, one.memory or 0
        match one.sample.kind:
            case "hash" if _is_small(one):
                return [("HGETALL", key)]
            case "list":
                each = round(each / max(1, one.length or 1))
                if each > _ITEM:
                    return [("LRANGE", key, 0, 0)] if each <= _VALUE or self._may_take(each) else []
                ends = 0 if one.memory is None else 1
                return [("LRANGE", key, 0, ends), ("LRANGE", key, -1 - ends, -1)]
            case "string":
                return [("GETRANGE", key, 0, _HEAD - 1)]
            case "zset":
                return [("ZRANGE", key, 0, 1)]
            case "set":
                return [("SRANDMEMBER", key, 2)]
            case "vectorset":
                return [("VRANDMEMBER", key, 2)]
            case kind if kind == JSON:
                small = each <= _VALUE or self._may_take(each)
                return [("JSON.GET", key) if small else ("JSON.OBJKEYS", key)]
            case _:
                return []

    def _may_take(self, size: int) -> bool:
        """Return whether a value that is large may be fetched, as few were before."""
        if size > _LARGEST or self._large_left == 0:
            return False
        self._large_left -= 1
        return True

    async def _large_hashes(self, large: Sequence[Met]) -> list[dict[str, bytes]]:
        """Return those fields of some large hashes that are not large themselves; of the others the name alone."""
        asked: list[Sequence[Argument]] = [
            ("HKEYS", one.key) if (one.length or 0) <= _FIELDS else ("HRANDFIELD", one.key, _FIELDS) for one in large
        ]
        rows = [row if isinstance(row, list) else [] for row in await self._asked("which fields hashes have", asked)]
        places = [(one.key, name) for one, names in zip(large, rows, strict=True) for name in names]
        lengths = await self._asked("how long fields are", [("HSTRLEN", key, name) for key, name in places])
        short = [
            place for place, length in zip(places, lengths, strict=True) if length is not None and length <= _VALUE
        ]
        values = await self._asked("what fields hold", [("HGET", key, name) for key, name in short])
        held = dict(zip(short, values, strict=True))
        return [
            {_name(field): held.get((one.key, field)) or b"" for field in names}
            for one, names in zip(large, rows, strict=True)
        ]

    async def _asked(self, what: str, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """Return the answers, with None for each that is an error; a command that is refused is noted, and left out."""
        refused = [str(command[0]) in self.gaps for command in commands]
        sent = [command for command, is_refused in zip(commands, refused, strict=True) if not is_refused]
        answers = iter(await self._reader.ask_all(sent) if sent else [])
        found: list[Any] = []
        for command, is_refused in zip(commands, refused, strict=True):
            answer = None if is_refused else next(answers)
            if isinstance(answer, RedisError):
                if is_refusal(answer):
                    self.gaps.setdefault(str(command[0]), f"{what}: {said_by(answer)}")
                answer = None
            found.append(answer)
        return found


def is_refusal(error: RedisError) -> bool:
    """Return whether an error says that the user may not, or that the server cannot; no other one."""
    said = str(error).lower()
    return "permission" in said or "acl failure" in said or "unknown command" in said


def said_by(error: RedisError) -> str:
    """Return what the server said, on one line of bounded length."""
    return " ".join(str(error).split())[:200]


def _is_small(one: Met) -> bool:
    return one.memory is not None and one.memory <= _SMALL


def _sample(one: Met, answers: Sequence[Any], fields: Mapping[str, bytes] | None) -> Sample:
    sample = one.sample
    if fields is not None:
        return replace(sample, fields=fields)
    if sample.kind == "hash":
        row = answers[0] if answers and isinstance(answers[0], Mapping) else {}
        return replace(sample, fields={_name(name): value for name, value in row.items()})
    if sample.kind == JSON:
        return replace(sample, fields={"": _document(answers[0])}) if answers and answers[0] is not None else sample
    return replace(sample, items=tuple(_items(answers)))


def _document(answer: Any) -> bytes:
    """Return a JSON document; of one whose members alone were asked for, these with nothing in them."""
    if isinstance(answer, bytes):
        return answer
    return orjson.dumps({_name(name): None for name in answer if name is not None})


def _items(answers: Sequence[Any]) -> Iterator[bytes]:
    for answer in answers:
        if isinstance(answer, bytes):
            yield answer
        elif isinstance(answer, list | set | tuple):
            yield from (item for item in answer if isinstance(item, bytes))


def _name(raw: Any) -> str:
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def _text(raw: Any) -> str:
    return raw.decode() if isinstance(raw, bytes) else str(raw)

"""Keys that no layout claims: how they are called, and what they might be."""

from __future__ import annotations

from collections import Counter, defaultdict

import orjson

from chatstore.redis.failures import printable
from chatstore.redis.inspection.estimating import Scale
from chatstore.redis.inspection.peeking import JSON, Met
from chatstore.redis.inspection.prefixes import patterns
from chatstore.redis.inspection.report import Unclaimed
from chatstore.redis.layouts.layout import Sample

_LEARNED_OF = 5_000
_SHOWN = 20
_CHAT = {"role", "content"}
_VECTOR = ("embedding", "vector")


class UnclaimedKeys:
    """Counts them by type and pattern. The patterns are learned of the first ones."""

    def __init__(self) -> None:
        self._first: list[Met] | None = []
        self._patterns: dict[str, list[bytes]] = {}
        self._counts: Counter[tuple[str, bytes]] = Counter()
        self._examples: dict[tuple[str, bytes], tuple[bytes, str]] = {}

    def add(self, met: Met) -> None:
        """Count a key."""
        if self._first is None:
            self._count(met)
            return
        self._first.append(met)
        if len(self._first) >= _LEARNED_OF:
            self._learn()

    def told(self, scale: Scale) -> list[Unclaimed]:
        """Return the most numerous ones."""
        self._learn()
        return [
            Unclaimed(
                pattern=printable(pattern),
                type=kind,
                keys=scale.of(count),
                example=printable(self._examples[kind, pattern][0]),
                looks_like=self._examples[kind, pattern][1],
            )
            for (kind, pattern), count in self._counts.most_common(_SHOWN)
        ]

    def _learn(self) -> None:
        first, self._first = self._first or [], None
        by_type: dict[str, list[bytes]] = defaultdict(list)
        for met in first:
            by_type[met.sample.kind].append(met.key)
        for kind, keys in by_type.items():
            self._patterns.setdefault(kind, []).extend(patterns(keys))
        for met in first:
            self._count(met)

    def _count(self, met: Met) -> None:
        kind = met.sample.kind
        fitting = [one for one in self._patterns.get(kind, []) if _fits(met.key, one)]
        pattern = max(fitting, key=len, default=b"*")
        self._counts[kind, pattern] += 1
        self._examples.setdefault((kind, pattern), (met.key, looks_like(met.sample)))


def looks_like(sample: Sample) -> str:
    """Return what a key might be, by what it holds; empty where nothing tells."""
    if sample.kind == "hash":
        if sample.fields.keys() >= _CHAT:
            return "a message"
        if any(word in name for name in sample.fields for word in _VECTOR):
            return "a document with an embedding"
        return ""
    values = [sample.fields[""]] if sample.kind == JSON and "" in sample.fields else list(sample.items)
    said = {_of_json(value) for value in values} - {""}
    return min(said) if said else ""


def _of_json(raw: bytes) -> str:
    try:
        value = orjson.loads(raw)
    except ValueError:
        # The beginning of a long text may tell, too.
        return "messages" if b'"role"' in raw and b'"content"' in raw and raw[:1] in b"[{" else ""
    one: object = value[0] if isinstance(value, list) and value else value
    if not isinstance(one, dict):
        return ""
    if one.keys() >= _CHAT:
        return "messages"
    if isinstance(one.get("messages"), list):
        return "a conversation"
    return "a document with an embedding" if any(word in name for name in one for word in _VECTOR) else ""


def _fits(key: bytes, pattern: bytes) -> bool:
    return key.startswith(pattern[:-1]) if pattern.endswith(b"*") else key == pattern

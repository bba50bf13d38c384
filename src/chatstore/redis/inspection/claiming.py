"""Whose layout a key is of, by what all layouts say of its type and shape; and which of several it is likelier of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from chatstore.models import Kind
from chatstore.redis.inspection.peeking import Met
from chatstore.redis.layouts.json_items import JsonItemChat
from chatstore.redis.layouts.layout import ChatLayout, DocumentLayout, Sample

OUR_OWN = b"chatstore:"

_SPACED = re.compile(rb'^\s*\{\s*"[^"]*": ')
_COMPACT = re.compile(rb'^\{"[^"]*":[^ ]')

_PREFIX, _WRITING, _GENERAL = 4, 2, -3


@dataclass(frozen=True, slots=True)
class Candidate:
    """A layout that is asked whether keys are its own.

    Attributes:
        kind: Chats or documents.
        layout: The layout, with an empty prefix where its keys may begin with anything.
        default_prefix: What its keys begin with where the app chose nothing else.
        index: The search index that it was told of; empty else.
    """

    kind: Kind
    layout: ChatLayout | DocumentLayout
    default_prefix: bytes
    index: str = ""

    @property
    def name(self) -> str:
        """The layout's name."""
        return self.layout.name

    @property
    def identity(self) -> tuple[Kind, str, str]:
        """What tells it from all others."""
        return self.kind, self.layout.name, self.index

    @property
    def compact(self) -> bool | None:
        """Whether its framework writes JSON without spaces; None where that tells nothing."""
        return self.layout.compact if isinstance(self.layout, JsonItemChat) else None


@dataclass(frozen=True, slots=True)
class Claim:
    """That a key is a layout's.

    Attributes:
        candidate: Whose.
        role: What it is there: `session`, `message`, `document` or `index`.
        reasons: What speaks for that, besides type and shape, as clauses.
        rivals: Others of the same kind that claim it too, each with what speaks for them less.
    """

    candidate: Candidate
    role: str
    reasons: tuple[str, ...] = ()
    rivals: tuple[Candidate, ...] = ()


def claim(met: Met, candidates: Sequence[Candidate]) -> Claim | None:
    """Return whose a key most likely is; None where no layout claims it.

    Where several do, the one is likeliest whose default prefix the key has, then the one that writes JSON as it is
    written there, then one that says more than what a search index says, then the first.
    """
    claims = [(one, role) for one in candidates if (role := one.layout.claims(met.sample)) is not None]
    if not claims:
        return None
    ranked = sorted(claims, key=lambda pair: -_weight(pair[0], met.sample))
    best, role = ranked[0]
    return Claim(best, role, _reasons(best, met.sample), tuple(one for one, _ in ranked[1:]))


def writes_compactly(sample: Sample) -> bool | None:
    """Return whether the JSON of a key's items has no spaces between its tokens; None where that cannot be told."""
    for item in sample.items:
        if _SPACED.match(item):
            return False
        if _COMPACT.match(item):
            return True
    return None


def _weight(candidate: Candidate, sample: Sample) -> int:
    weight = _PREFIX if _has_default_prefix(candidate, sample) else 0
    written = writes_compactly(sample)
    if candidate.compact is not None and written is not None:
        weight += _WRITING if candidate.compact == written else -_WRITING
    return weight + (_GENERAL if candidate.index else 0)


def _reasons(candidate: Candidate, sample: Sample) -> tuple[str, ...]:
    reasons = []
    if _has_default_prefix(candidate, sample):
        reasons.append(f"the keys begin with {candidate.default_prefix.decode()}")
    written = writes_compactly(sample)
    if candidate.compact is not None and candidate.compact == written:
        reasons.append("its JSON is written without spaces" if written else "its JSON is written with spaces")
    return tuple(reasons)


def _has_default_prefix(candidate: Candidate, sample: Sample) -> bool:
    return bool(candidate.default_prefix) and sample.key.startswith(candidate.default_prefix)

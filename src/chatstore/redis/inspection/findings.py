"""What is so of several records, put together by its reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from chatstore.redis.inspection.report import Count, Finding

_OF_ONE = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\b\d[\d,.]*\b")
_SESSION = re.compile(r"\bthe session .*? lists it\b", re.DOTALL)
_MANY = 200
_OTHERS = "other reasons"


@dataclass(slots=True)
class _Reason:
    first: str
    example: str
    count: int = 0


class Findings:
    """Counts records by what is so of them; what differs from record to record in a reason makes no other one of it."""

    def __init__(self) -> None:
        self._reasons: dict[str, _Reason] = {}

    def __bool__(self) -> bool:
        return bool(self._reasons)

    def add(self, reason: str, example: str, *, is_general: bool = False) -> None:
        """Count a record; a reason that is general has nothing of one record."""
        general = reason if is_general else generalised(reason)
        if general not in self._reasons and len(self._reasons) >= _MANY:
            general = reason = _OTHERS
        found = self._reasons.setdefault(general, _Reason(reason, example))
        found.count += 1

    def scaled(self, scale: Callable[[float], Count]) -> list[Finding]:
        """Return all, the most frequent first; `scale` says how many there are where so many were found."""
        ordered = sorted(self._reasons.items(), key=lambda pair: (-pair[1].count, pair[0]))
        return [
            Finding(
                reason=found.first if found.count == 1 else general, records=scale(found.count), example=found.example
            )
            for general, found in ordered
        ]


def generalised(reason: str) -> str:
    """Return a reason without what is of one record alone: its names and its numbers."""
    return _OF_ONE.sub("…", _SESSION.sub("the session … lists it", reason))

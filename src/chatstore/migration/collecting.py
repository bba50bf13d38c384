"""Fewer rounds of the garbage collector for the length of a run.

A run makes records by the million, which hold no circles and live for a moment. The collector, which only circles need,
would go through all that is alive at each few hundred of them, and take a fifth of the time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_SELDOM = 200_000
"""New objects between two rounds; Python's own default is 700 to 2,000."""

_before: list[int] = []


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Have the collector come seldom until the last of the runs that ask for it has ended."""
    first, second, third = gc.get_threshold()
    _before.append(_before[0] if _before else first)
    if 0 < first < _SELDOM:
        gc.set_threshold(_SELDOM, second, third)
    try:
        yield
    finally:
        first = _before.pop()
        if not _before:
            gc.set_threshold(first, second, third)

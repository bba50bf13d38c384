"""Cutting what walks over the keys of a side come by into batches."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, TypeVar

from chatstore.migration.walks import side_by_side
from chatstore.models import KeyPage, Quarantined

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Planned(Generic[K]):
    """A batch of a walk that is to be done, and what is to be noted when it is.

    Attributes:
        walk: The walk's name.
        keys: Which records.
        quarantined: What was found there that has no key.
        cursor: Where the walk goes on behind it; None where that is not known.
        is_end: Whether the walk has ended.
    """

    walk: str
    keys: tuple[K, ...]
    quarantined: tuple[Quarantined, ...] = ()
    cursor: str | None = None
    is_end: bool = False


async def plan(
    walks: Mapping[str, AsyncGenerator[KeyPage[K], None]], *, size: Callable[[], int]
) -> AsyncGenerator[Planned[K], None]:
    """Yield the batches of some walks, which are made side by side, as they come by them.

    Args:
        walks: The walks, by name.
        size: How many keys a batch has at most; asked for each, so that it may change.
    """
    async with aclosing(side_by_side(walks)) as pages:
        async for walk, page in pages:
            if page is None:
                yield Planned(walk, (), is_end=True)
                continue
            for planned in _cut(walk, page, size):
                yield planned


def _cut(walk: str, page: KeyPage[K], size: Callable[[], int]) -> Iterator[Planned[K]]:
    """Yield the batches of a page; the last one of them is noted with what the page says beside its keys."""
    start = 0
    while len(page.keys) - start > (most := size()):
        yield Planned(walk, page.keys[start : start + most])
        start += most
    yield Planned(walk, page.keys[start:], page.quarantined, page.cursor)

"""Walking through a list that Chroma can only page by offset, while others add to it and remove from it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

_ANCHORS = 4


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a list.

    Attributes:
        offset: How many items lay before it when it was noted.
        last: The names of the last of those, in the list's order.
    """

    offset: int = 0
    last: tuple[str, ...] = ()

    def behind(self, names: Sequence[str]) -> Place:
        """Return the place behind the items `names`, which begin at this one."""
        return Place(self.offset + len(names), (*self.last, *names)[-_ANCHORS:])


@dataclass(frozen=True, slots=True)
class Stretch(Generic[T]):
    """Some items that lie one behind the other.

    Attributes:
        items: The items.
        start: The place of the first.
        end: The place behind the last.
    """

    items: Sequence[T]
    start: Place
    end: Place


async def walk(
    fetch: Callable[[int, int], Awaitable[Sequence[T]]],
    name: Callable[[T], str],
    *,
    size: int,
    start: Place | None = None,
) -> AsyncIterator[Stretch[T]]:
    """Yield the items of a list, each that is there all the time at least once.

    When items before a place are removed, those behind it move up, and the next page by offset would miss some. So each
    page begins with the last items of the one before; if none of them is found there, the walk goes a page back.

    Args:
        fetch: Returns up to `limit` items from `offset` on: `fetch(limit, offset)`. The order of those that stay must
            not change.
        name: Returns what names an item.
        size: How many items a page has.
        start: Where to go on.
    """
    place = start or Place()
    while True:
        begin = max(0, place.offset - len(place.last))
        wanted = size + len(place.last)
        page = await fetch(wanted, begin)
        known = [at for at, item in enumerate(page) if name(item) in place.last]
        if place.last and not known and begin > 0:
            place = Place(max(0, begin - size), place.last)
            continue
        first = known[-1] + 1 if known else 0
        found = page[first:]
        here = Place(begin + first, place.last)
        place = here.behind([name(item) for item in found])
        if found:
            yield Stretch(found, here, place)
        # After a step back, a page may be full of what is known and yet not be the last.
        if len(page) < wanted:
            return

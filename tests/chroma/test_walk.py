"""Walking through a list that changes underfoot."""

from hypothesis import given
from hypothesis import strategies as st

from chatstore.chroma.walk import Place, walk


async def collect(items, size, start=None, between=lambda page: None):
    async def fetch(limit, offset):
        return items[offset : offset + limit]

    seen = []
    async for stretch in walk(fetch, str, size=size, start=start):
        seen += stretch.items
        between(stretch)
    return seen


async def test_a_list_at_rest_is_walked_once():
    assert await collect(list(range(23)), 5) == list(range(23))
    assert await collect([], 5) == []


@given(st.integers(1, 60), st.integers(1, 9), st.lists(st.sets(st.integers(0, 59), max_size=20), max_size=6))
async def test_what_stays_is_found_whatever_is_removed_meanwhile(length, size, removals):
    items = list(range(length))
    rounds = iter(removals)

    def remove(_):
        gone = next(rounds, set())
        items[:] = [item for item in items if item not in gone]

    seen = await collect(items, size, between=remove)
    assert set(items) <= set(seen)


@given(st.integers(1, 40), st.integers(1, 9), st.lists(st.integers(0, 40), max_size=5))
async def test_what_stays_is_found_whatever_is_put_in_between(length, size, places):
    items = [f"old {i}" for i in range(length)]
    rounds = iter(places)

    def insert(_):
        if (at := next(rounds, None)) is not None:
            items.insert(min(at, len(items)), f"new {at} {len(items)}")

    assert {f"old {i}" for i in range(length)} <= set(await collect(items, size, between=insert))


@given(st.integers(1, 40), st.integers(1, 9), st.sets(st.integers(0, 39)))
async def test_a_walk_goes_on_from_a_place_after_removals(length, size, gone):
    items = list(range(length))
    ends = []
    first = await collect(items, size, between=lambda stretch: ends.append(stretch.end))
    assert first == items
    middle = ends[len(ends) // 2]
    rest = [item for item in items if item not in gone]
    seen = await collect(rest, size, start=middle)
    assert {item for item in rest if item >= middle.offset} <= set(seen)


def test_a_place_knows_the_last_items_before_it():
    place = Place().behind(["a", "b"]).behind(["c", "d", "e"])
    assert (place.offset, place.last) == (5, ("b", "c", "d", "e"))

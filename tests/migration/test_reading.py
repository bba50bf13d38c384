"""Joining pages, and reading ahead of the writing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest

from chatstore.errors import UnavailableError
from chatstore.migration.counting import weight_of_chat
from chatstore.migration.patience import Patience
from chatstore.migration.reading import ahead, batched
from chatstore.models import ScanPage
from tests.migration.doubles import legacy_session


async def pages_of(*cursors: str | None) -> AsyncIterator[ScanPage[str]]:
    for number, cursor in enumerate(cursors):
        yield ScanPage((f"record {number}",), (), cursor)


async def test_pages_are_joined_until_they_are_worth_a_write() -> None:
    joined = [page async for page in batched(pages_of("a", "b", "c", "d", None), 2, len)]
    assert [len(page.changes) for page in joined] == [2, 2, 1]
    assert [page.cursor for page in joined] == ["b", "d", None]


async def test_a_joined_page_keeps_the_last_cursor_that_was_given() -> None:
    (joined,) = [page async for page in batched(pages_of("a", None), 10, len)]
    assert joined.cursor == "a"


async def test_one_page_is_read_ahead_and_no_more() -> None:
    read: list[int] = []

    async def numbers() -> AsyncIterator[int]:
        for number in range(5):
            read.append(number)
            yield number

    async for number in ahead(numbers()):
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(read) == min(number + 2, 5)


async def test_leaving_early_ends_the_scan() -> None:
    ended: list[str] = []

    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                await asyncio.sleep(0)
                yield 1
        finally:
            ended.append("ended")

    reading = ahead(endless())
    async for _ in reading:
        break
    await reading.aclose()
    assert ended == ["ended"]


async def test_a_scan_whose_server_went_away_goes_on_behind_the_last_cursor() -> None:
    begun: list[str | None] = []
    waits: list[str] = []

    async def scan(cursor: str | None) -> AsyncIterator[ScanPage[str]]:
        begun.append(cursor)
        rest: Sequence[str] = [name for name in "abcd" if cursor is None or name > cursor]
        for name in rest:
            if name == "c" and len(begun) < 3:
                raise UnavailableError("away")
            yield ScanPage((name,), (), name)

    patience = Patience(first=0.001, on_wait=waits.append)
    read = [change async for page in patience.pages(scan, None) for change in page.changes]
    assert read == ["a", "b", "c", "d"]
    assert begun == [None, "b", "b"]
    assert waits == ["away", "away"]


async def test_patience_has_an_end() -> None:
    async def away() -> None:
        raise UnavailableError("away")

    with pytest.raises(UnavailableError):
        await Patience(first=0.001, longest=0.002, limit=0.01).until_done(away)


def test_large_records_count_for_several() -> None:
    assert weight_of_chat([legacy_session("s", "short", "x" * 100_000)]) == 15


async def test_several_that_wait_for_the_same_server_tell_so_once_each_time() -> None:
    told: list[str] = []
    tries = dict.fromkeys("abcd", 0)
    patience = Patience(first=0.05, longest=0.05, limit=5, on_wait=told.append)

    async def ask(name: str) -> str:
        tries[name] += 1
        if tries[name] <= 2:
            raise UnavailableError("the server at x does not answer")
        return name

    async def other() -> None:
        if not told:
            await asyncio.sleep(0.01)
            raise UnavailableError("the server at y does not answer")

    waiting = [patience.until_done(partial(ask, name)) for name in tries]
    await asyncio.gather(*waiting, patience.until_done(other))
    assert told.count("the server at x does not answer") == 2

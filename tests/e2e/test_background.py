"""What an app does in the background is seen to end, if it does."""

import asyncio

from chatstore.app import _running
from tests.log import lines_of_the_log


async def test_a_background_task_that_ends_by_an_error_is_logged_when_it_ends(caplog):
    async def broken():
        raise ZeroDivisionError

    with lines_of_the_log() as lines:
        async with _running({"chat: the repair": broken(), "chat: noticing": asyncio.sleep(60)}):
            assert "ZeroDivisionError" in await lines.until("chat: the repair ended")
        await asyncio.sleep(0)
    assert "chat: noticing" not in caplog.text
    [told] = caplog.records
    assert told.exc_info[0] is ZeroDivisionError

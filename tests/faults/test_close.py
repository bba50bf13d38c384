"""What becomes of a call that is still on its way when its router is closed."""

import asyncio

import pytest

from chatstore.errors import UnavailableError
from tests.faults.chat_bench import ChatBench
from tests.faults.chat_operations import COMMANDS, both_hold
from tests.faults.every_await import quiet


def test_a_call_that_still_waits_for_the_stage_gets_an_error_and_no_cancellation():
    bench = ChatBench()

    async def write_and_close():
        write = asyncio.ensure_future(bench.process.router.write(COMMANDS["append"]))
        await asyncio.sleep(0)
        await bench.process.router.close()
        with pytest.raises(UnavailableError):
            await write

    try:
        both_hold(bench)
        before = bench.picture()
        with quiet():
            bench.whole(write_and_close())
        assert bench.picture() == before
    finally:
        bench.end()

"""Waiting for what chatstore's log says, instead of looking again and again."""

import asyncio
import logging
from contextlib import asynccontextmanager, contextmanager

SOON = 30


class Lines(logging.Handler):
    """The log, line by line as it is written, by any thread."""

    def __init__(self):
        super().__init__(logging.INFO)
        self._loop = asyncio.get_running_loop()
        self._lines = asyncio.Queue()

    def emit(self, record):
        self._loop.call_soon_threadsafe(self._lines.put_nowait, record.getMessage())

    async def until(self, text):
        """Wait for a line that has this in it, and return it; those before it are passed over."""
        async with asyncio.timeout(SOON):
            while text not in (line := await self._lines.get()):
                pass
        return line


@contextmanager
def lines_of_the_log():
    logger, lines = logging.getLogger("chatstore"), Lines()
    level = logger.level
    logger.addHandler(lines)
    logger.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        logger.removeHandler(lines)
        logger.setLevel(level)


@asynccontextmanager
async def told(text):
    """Do what is inside, and wait until the log has said `text`."""
    with lines_of_the_log() as lines:
        yield
        await lines.until(text)

"""A watch for what other programs write, and the marks that it makes."""

import asyncio
from contextlib import asynccontextmanager

SOON = 30


class Watched:
    """A watch that runs, and the marks that it made."""

    def __init__(self, watch):
        self.watch = watch
        self._made = asyncio.Queue()
        self._add = watch._journal.add
        watch._journal.add = self._noted

    async def _noted(self, marks):
        await self._add(marks)
        for mark in marks:
            self._made.put_nowait((mark.user_id, mark.key))

    async def next(self):
        async with asyncio.timeout(SOON):
            return await self._made.get()

    @property
    def none_is_left(self):
        return self._made.empty()


@asynccontextmanager
async def watching(foreign, client, layout, *, open_journal=True):
    watched = Watched(foreign(client, layout))
    if open_journal:
        await watched.watch._journal.remember(journal_open=True)
    task = asyncio.create_task(watched.watch.watch(pause=0.01))
    async with asyncio.timeout(SOON):
        await watched.watch.listening.wait()
    yield watched
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

"""Processes that are started from a warm parent, killed without a warning, and started again."""

import asyncio
import multiprocessing
from collections import Counter
from itertools import count

from tests.chaos import app

# The parent of all of them: it has imported everything, and holds no connection and no thread.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "tests.chaos.app",
        "tests.chaos.migrator",
        "chatstore.cli",
        "chatstore.redis",
        "chatstore.supabase",
        "chatstore.chroma",
        "chromadb",
    ]
)
START_SECONDS = 60.0
STOP_SECONDS = 60.0


class Running:
    """One process, and the pipe on which it says how far it is."""

    def __init__(self, work, *arguments):
        self._said = Counter()
        self.pipe, theirs = _FORKS.Pipe()
        self.process = _FORKS.Process(target=work, args=(*arguments, theirs), daemon=True)
        self.process.start()
        theirs.close()

    def heard(self, word, seconds, times=1):
        """Wait until it has said a word, so many times, or is done."""
        while self._said[word] < times and not self._said[app.DONE]:
            assert self.pipe.poll(seconds), f"not {word} within {seconds} s"
            self._said[self.pipe.recv()] += 1

    def kill(self):
        """End it in the middle of whatever it does."""
        self.process.kill()
        self.process.join()

    @property
    def has_failed(self):
        return not self.process.is_alive() and self.process.exitcode != 0


class Fleet:
    """The app's processes, each in a slot, and those of its operator.

    Attributes:
        ledgers: The ledger files of all processes that ever ran.
        kills: How many were killed while they ran.
    """

    def __init__(self, place, seed):
        self.ledgers = []
        self.kills = 0
        self._place = place
        self._seed = seed
        self._starts = count(1)
        self._slots = {}

    async def start(self, slot):
        number = next(self._starts)
        name = f"app{slot}-{number}"
        self.ledgers.append(self._place.folder / f"{name}.jsonl")
        self._slots[slot] = await asyncio.to_thread(
            Running, app.serve, self._place, slot, name, f"{self._seed} {number}"
        )

    async def serving(self, slots):
        """Wait until the app's processes serve."""
        for slot in slots:
            await asyncio.to_thread(self._slots[slot].heard, app.READY, START_SECONDS)

    async def start_other(self, name, work):
        running = await asyncio.to_thread(Running, work, self._place, name)
        self._slots[name] = running
        return running

    async def kill(self, slot):
        running = self._slots.pop(slot)
        assert not running.has_failed, f"the process in slot {slot} had ended by itself: see its log"
        self.kills += running.process.is_alive()
        await asyncio.to_thread(running.kill)

    async def finish(self, slots):
        """Tell the app's processes to finish, and return when they have ended in order."""
        for slot in slots:
            self._slots[slot].pipe.send("stop")
        for slot in slots:
            running = self._slots.pop(slot)
            await asyncio.to_thread(running.process.join, STOP_SECONDS)
            assert running.process.exitcode == 0, f"the process in slot {slot} ended with {running.process.exitcode}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for running in self._slots.values():
            running.kill()

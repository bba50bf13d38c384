"""The processes of the app: started, killed as a crash would, started again, and told to finish."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.app import READY
from demo.ledger import read_ledger

_SOURCE = Path(__file__).resolve().parents[1]
_START_SECONDS = 60.0
_FINISH_SECONDS = 30.0


class AppFailedError(Exception):
    """A process of the app did not do what it should; the message names its log."""


@dataclass(frozen=True, slots=True)
class _Running:
    name: str
    process: Process
    log: Path


class Fleet:
    """Some processes of one app, with this process's environment; the users are spread over them.

    Args:
        folder: Where the processes' ledgers and logs go.
        users: The users' ids, process by process.
        seed: Decides what they do.
        pause: Seconds between two things that a user does.
    """

    def __init__(self, folder: Path, users: Sequence[Sequence[str]], *, seed: int, pause: float) -> None:
        self.ledgers: list[Path] = []
        self._folder = folder
        self._users = users
        self._seed = seed
        self._pause = pause
        self._starts = count(1)
        self._running: dict[int, _Running] = {}

    async def start(self) -> None:
        """Start all processes; return when they serve."""
        await asyncio.gather(*(self.start_one(number) for number in range(len(self._users))))

    async def start_one(self, number: int) -> None:
        """Start one process; return when it serves.

        Raises:
            AppFailedError: It did not come up.
        """
        name = f"app-{next(self._starts)}"
        ledger, log = self._folder / f"{name}.jsonl", self._folder / f"{name}.log"
        options = ["--name", name, "--ledger", str(ledger), "--seed", str(self._seed), "--pause", str(self._pause)]
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "demo.app", *options, "--", *self._users[number]),
                stdin=PIPE,
                stdout=PIPE,
                stderr=errors,
                env={**os.environ, "PYTHONPATH": str(_SOURCE)},
                cwd=self._folder,  # where no settings of the person's own lie
                start_new_session=True,  # a Ctrl-C is for the demo, which then ends them in order
            )
        self._running[number] = _Running(name, process, log)
        assert process.stdout is not None  # noqa: S101 - it was asked for
        line = await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)
        if line.decode().strip() != READY:
            raise AppFailedError(f"{name} did not start; its log is {log}")
        self.ledgers.append(ledger)

    def written_since(self, began: float) -> int:
        """Return how many writes that began after a moment, by the machine's monotonic clock, were acknowledged."""
        return sum(call.wrote and call.began >= began for ledger in self.ledgers for call in read_ledger(ledger)[0])

    async def kill_one(self, number: int) -> None:
        """End one process in the middle of whatever it does."""
        running = self._running.pop(number)
        with suppress(ProcessLookupError):  # it may have ended by itself
            running.process.kill()
        await running.process.wait()

    async def finish(self) -> None:
        """Tell all processes to finish what they are at, and return when they have ended.

        Raises:
            AppFailedError: One did not end, or ended with an error.
        """
        for running in self._running.values():
            if running.process.stdin is not None:
                running.process.stdin.close()
        for number, running in list(self._running.items()):
            try:
                status = await asyncio.wait_for(running.process.wait(), _FINISH_SECONDS)
            except TimeoutError as error:
                raise AppFailedError(f"{running.name} did not end; its log is {running.log}") from error
            del self._running[number]
            if status != 0:
                raise AppFailedError(f"{running.name} ended with status {status}; its log is {running.log}")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in list(self._running):
            await self.kill_one(number)

"""The pace of a run: when its next batch may begin, by what an operator allows and by how the servers answer.

What it waits for is never the end of it: a paused run, one outside of its time of the day, and one whose servers are
slow all look again, several times a second, and keep the lease meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from types import TracebackType
from typing import Final, Self, TypeVar

from chatstore.errors import ChatStoreError, ConfigurationError
from chatstore.interfaces import Progress
from chatstore.migration.limits import Limits
from chatstore.migration.probe import Ask, Probe
from chatstore.migration.reporter import Reporter
from chatstore.migration.throttle import SLICE, Beat, Room
from chatstore.models import Kind, LoadSeen, utc_now

K = TypeVar("K")
T = TypeVar("T")

_POLLED_EVERY: Final = 1.0
_PROBED_EVERY: Final = 0.5
_NAPS: Final = 20
"""Between two looks at the servers: how late one wakes up from them tells how busy this process is itself."""
_LOOKS_EVERY: Final = 0.2
_FREED_WITHIN: Final = 0.01
_REMEMBERS: Final = 0.8

_log = logging.getLogger(__name__)


class Turn:
    """A batch's leave to be worked on.

    Attributes:
        keys: How many of its keys it may take now; the others need another turn.
        records: How many records they had; to be set when that is known.
    """

    def __init__(self, keys: int) -> None:
        self.keys = keys
        self.records = 0


class Pace:
    """Lets the batches of one run begin, each in its turn; enter it for the length of the run.

    Example:
        async with Pace(…) as pace:
            for page in pages:
                results += [result async for result in pace.in_turns(page, work)]

    Args:
        progress: Where an operator sets the limits; they are read about once a second.
        kind: What the run moves or compares.
        reporter: Is told of the limits and of the servers.
        source: Asks the source's server how busy it is.
        target: Asks the target's.
        most: How many batches are under way at once, unless an operator says otherwise.
        now: Tells the time of the day.
    """

    def __init__(
        self,
        progress: Progress,
        kind: Kind,
        reporter: Reporter,
        *,
        source: Ask,
        target: Ask,
        most: int,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._progress = progress
        self._kind = kind
        self._reporter = reporter
        self._source, self._target = Probe(source), Probe(target)
        self._most = most
        self._clock = asyncio.get_running_loop().time
        self._now = now
        self._limits = Limits()
        self._limits_text: str | None = None
        self._beat = Beat()
        self._room = Room()
        self._queue = asyncio.Lock()
        self._running = 0
        self._ended_at = float("-inf")
        self._records_a_key: float | None = None
        self._beside: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Read the limits, and look at the servers before the run begins.

        Raises:
            ConfigurationError: Limits are set that this release cannot read.
            UnavailableError: The server that knows the limits does not answer.
        """
        await asyncio.gather(self._source.look(), self._target.look())
        self._take(await self._progress.limits())
        self._measured()
        self._beside = [asyncio.create_task(self._poll()), asyncio.create_task(self._watch())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)
        if error is None:
            await asyncio.gather(self._source.look(), self._target.look())

    @property
    def limits(self) -> Limits:
        """What an operator limits the run to now."""
        return self._limits

    @property
    def at_once(self) -> int:
        """How many batches may be under way now; one at least."""
        return self._room.batches(self._limits.at_once or self._most)

    @property
    def source_load(self) -> LoadSeen | None:
        """How busy the source's server was since the run began, on average; None where it does not tell."""
        return self._source.mean

    @property
    def target_load(self) -> LoadSeen | None:
        """The same of the target's."""
        return self._target.mean

    def size(self, most: int) -> int:
        """Return how many keys the next batch should have, of `most`: fewer where the rate is low."""
        if self._limits.rate is None:
            return most
        if self._records_a_key is None:
            return min(1, most)
        return min(most, max(1, int(self._limits.rate * SLICE / max(self._records_a_key, 1e-9))))

    async def in_turns(
        self, keys: Sequence[K], work: Callable[[Sequence[K]], Awaitable[tuple[T, int]]]
    ) -> AsyncGenerator[T, None]:
        """Work on a batch in as many turns as it takes, and yield what comes of each.

        Without any keys a turn is waited for, too: a run that is held must not walk on.

        Args:
            keys: The batch's.
            work: Is called with some of them; returns what comes of these, and how many records they had.
        """
        begun = False
        while keys or not begun:
            async with self.turn(len(keys)) as turn:
                part, keys, begun = keys[: turn.keys], keys[turn.keys :], True
                if not part:
                    return
                result, turn.records = await work(part)
            yield result

    @asynccontextmanager
    async def turn(self, keys: int) -> AsyncGenerator[Turn, None]:
        """Work on a batch of so many keys for the length of the block, which begins when it may.

        First come, first served. A batch that fails is not counted.
        """
        async with self._queue:
            while (wait := self._wait()) > 0:  # noqa: ASYNC110 - what is waited for may change meanwhile
                await asyncio.sleep(min(wait, _LOOKS_EVERY))
            self._running += 1
            # Not before: a batch that was cut at a high rate may begin at a low one.
            turn = Turn(self.size(keys))
            expected = turn.keys * (self._records_a_key or 1.0)
            self._beat.take(expected, self._clock())
        try:
            yield turn
            self._beat.correct(turn.records - expected)
            self._learn(turn.keys, turn.records)
        finally:
            self._running -= 1
            self._ended_at = self._clock()

    async def _look(self, *, late: float) -> None:
        """Look at both servers, and make room if one is slow."""
        limits = self._limits
        await asyncio.gather(
            self._source.look(limits.source_latency, late=late), self._target.look(limits.target_latency, late=late)
        )
        slow = self._source.slower_than(limits.source_latency) or self._target.slower_than(limits.target_latency)
        self._room.heard(limits.at_once or self._most, slow=slow)
        self._measured()
        self._tell()

    def _wait(self) -> float:
        """Return how long the next batch has to wait, about; 0 when it may begin."""
        for task in self._beside:
            if task.done():
                task.result()  # A run that nobody could let go on any more must not wait for that.
        held = self._tell()
        if held:
            return _LOOKS_EVERY
        if self._running >= self.at_once:
            return _FREED_WITHIN
        now = self._clock()
        return max(self._beat.wait(now), self._ended_at + self._room.pause - now)

    def _learn(self, keys: int, records: int) -> None:
        if keys:
            before = records / keys if self._records_a_key is None else self._records_a_key
            self._records_a_key = _REMEMBERS * before + (1 - _REMEMBERS) * records / keys

    def _tell(self) -> str:
        """Tell the reporter why the run stands still, or is slower than it could be; return the first."""
        limits = self._limits
        held = ""
        if limits.paused:
            held = f"paused by an operator: `chatstore resume --{self._kind}` lets it go on"
        elif limits.window is not None and not limits.window.holds(self._now()):
            held = (
                f"it may move between {limits.window} only: `chatstore limits --{self._kind} --between none` lets it "
                f"go on now"
            )
        said = [phrase for phrase in limits.described() if phrase != "paused"]
        if self._room.tight:
            said.append("slowed down now, as a server answers too slowly")
        self._reporter.paced(paused=held, limited="; ".join(said))
        return held

    def _take(self, text: str | None) -> None:
        if text == self._limits_text and text is not None:
            return
        limits = Limits.decode(text)
        self._limits, self._limits_text = limits, text
        self._beat.at(limits.rate, self._clock())
        if limits.source_latency is None and limits.target_latency is None:
            self._room = Room()
        if (limits.source_latency and self._source.silent) or (limits.target_latency and self._target.silent):
            _log.warning(
                "%s: a server does not tell how long its answers take, so it is not spared by that", self._kind
            )
        self._tell()

    async def _poll(self) -> None:
        refused: str | None = None
        while True:
            await asyncio.sleep(_POLLED_EVERY)
            text: str | None = None
            try:
                text = await self._progress.limits()
                self._take(text)
            except ConfigurationError as error:
                if text != refused:
                    _log.warning("the run goes on as before: %s", error)
                refused = text
            except ChatStoreError as error:
                _log.debug("the limits could not be read: %s", error)
            self._tell()

    async def _watch(self) -> None:
        while not (self._source.silent and self._target.silent):
            begun = self._clock()
            for _ in range(_NAPS):
                await asyncio.sleep(_PROBED_EVERY / _NAPS)
            await self._look(late=max(0.0, (self._clock() - begun - _PROBED_EVERY) / _NAPS))

    def _measured(self) -> None:
        self._reporter.measured(source=self._source.now, target=self._target.now)

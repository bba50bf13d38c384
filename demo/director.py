"""The walk: from `off` to `complete`, with an incident on the way, while the users go on as if nothing happened."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chatstore.local import LocalStack
from chatstore.migration import VerifyReport
from chatstore.models import Kind, Stage
from chatstore.routing.flags.file import Share
from demo.fleet import Fleet
from demo.operations import Operations

ENOUGH_WRITES = 5
"""With fewer acknowledged writes than this in any chapter, "nothing was lost" would mean nothing."""
_ENOUGH_WITHIN = 30.0
"""Seconds that a busy machine is given for them."""
_STARTED = 2.0
"""Seconds until all users have opened the app, and its first calls have made the connections to all servers."""
_LOOKS_EVERY = 0.2
_SEEN_BY_ALL = 1.5
"""Seconds until every process of the app has read a changed flag file."""
_STATE_KNOWN = 6.0
"""Seconds until every process of the app knows that a verify has passed; before, it refuses the stage `live`."""
_SOON = 3.0
_AT_LAST = 75.0
"""Seconds that catching up takes: as a rule, and when the lease of a killed process's last write must end first."""


class WalkError(Exception):
    """A step of the migration did not end as it should; the message says which, and how."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """A part of the walk; it lasts until the next one begins.

    Attributes:
        title: What happens in it.
        stage: The stage that the app is served at.
        began: When it began, by the machine's monotonic clock.
        marks: How many marks were open at its end.
    """

    title: str
    stage: str
    began: float
    marks: int


class Director:
    """Walks the stages.

    Attributes:
        chapters: The chapters so far.
        old_whole_until: What was acknowledged until then is on the old side as well.

    Args:
        operations: What the person who runs the migration can do.
        fleet: The app's processes, which serve already.
        stack: The servers, one of which has an accident.
        tell: Called with a step's name and what it is for.
        seconds: How long the app is to be served at a stage at which nothing else happens.
    """

    def __init__(
        self,
        operations: Operations,
        fleet: Fleet,
        stack: LocalStack,
        tell: Callable[[str, str], None],
        *,
        seconds: float,
    ) -> None:
        self.chapters: list[Chapter] = []
        self.old_whole_until = 0.0
        self._operations = operations
        self._fleet = fleet
        self._stack = stack
        self._tell = tell
        self._seconds = seconds

    async def walk(self) -> None:
        """Go all the way.

        Raises:
            WalkError: A step did not end as it should.
        """
        async with self._chapter("the app starts", "off"):
            self._tell("off", "the app uses chatstore from now on, and chatstore only Redis, as it found it")
            await asyncio.sleep(min(self._seconds, _STARTED))
        async with self._chapter("as before", "off"):
            await asyncio.sleep(self._seconds)
        repairing = asyncio.create_task(self._operations.keep_repaired())
        try:
            await self._fill_new_side()
            await self._move_reads()
            await self._incident()
            await self._let_go()
        finally:
            repairing.cancel()
            await asyncio.gather(repairing, return_exceptions=True)
        await self._leave_old_side()

    async def _fill_new_side(self) -> None:
        async with self._chapter("dual-write", "dualwrite"):
            self._set(Stage.DUALWRITE, "each write goes to Redis, is acknowledged, and then goes to the new side")
            await asyncio.sleep(self._seconds)
        async with self._chapter("backfill", "dualwrite"):
            self._tell("migrate", "copies what was there before, while everybody goes on writing")
            await self._migrate_with_a_crash()
        async with self._chapter("verify", "dualwrite"):
            await self._verify()

    async def _migrate_with_a_crash(self) -> None:
        migrating = asyncio.create_task(self._operations.migrate(lambda _event: None))
        await asyncio.sleep(0.3)
        self._tell("accident", "an app process is killed (-9) and started again; what it had not finished is marked")
        await self._fleet.kill_one(0)
        await self._fleet.start_one(0)
        chat, documents = await migrating
        if not (chat.complete and documents.complete):
            raise WalkError("the backfill could not take every record: see `chatstore quarantine list`")
        self._tell(
            "migrate",
            f"copied {chat.copied.sessions:,} sessions, {chat.copied.messages:,} messages and "
            f"{documents.copied.documents:,} documents in {max(chat.seconds, documents.seconds):.1f} s",
        )

    async def _verify(self) -> None:
        began = time.monotonic()
        self._tell("verify", "compares every record of both sides, word by word and bit by bit")
        chat, documents = await self._equal()
        # Once may be over before the users have written anything beside it.
        while self._goes_on(began):
            chat, documents = await self._equal()
        self._tell(
            "verify",
            f"{chat.old.records + documents.old.records:,} records are equal, and {documents.proved} documents "
            f"were searched for and found ({max(chat.seconds, documents.seconds):.1f} s)",
        )

    async def _equal(self) -> tuple[VerifyReport, VerifyReport]:
        reports = await self._operations.verify()
        for report in reports:
            if not report.equal:
                raise WalkError(f"verify found {report.difference_count} differences, first: {report.differences[0]}")
        return reports

    async def _move_reads(self) -> None:
        async with self._chapter("shadow reads", "shadow"):
            self._set(Stage.SHADOW, "each read is repeated on the new side afterwards, and the answers are compared")
            await asyncio.sleep(max(self._seconds, _STATE_KNOWN))
        async with self._chapter("a quarter of the users", "shadow/live"):
            self._set(Stage.SHADOW, "a quarter of the users is served by the new side", Share(Stage.LIVE, 25))
            await asyncio.sleep(self._seconds)
        async with self._chapter("everybody", "live"):
            self._set(Stage.LIVE, "Supabase and Chroma serve everybody; Redis is still written, so it can take over")
            await asyncio.sleep(self._seconds)

    async def _incident(self) -> None:
        async with self._chapter("incident: back", "dualwrite"):
            self._set(Stage.DUALWRITE, "something is wrong with Supabase: back to Redis, by the flag alone")
            await self._everybody_settled()
        async with self._chapter("Supabase is down", "dualwrite"):
            await asyncio.to_thread(self._stack.supabase.kill)
            self._tell("accident", "Supabase's API is dead. Nobody waits for it: what it misses is marked")
            await asyncio.sleep(self._seconds)
        marks = self.chapters[-1].marks
        async with self._chapter("catching up", "dualwrite"):
            await asyncio.to_thread(self._stack.supabase.start)
            self._tell("repair", f"Supabase is up again: {marks} marks say what it has missed, and are merged")
            await self._caught_up(Kind.CHAT)
            self._tell("repair", "all merged")

    async def _let_go(self) -> None:
        async with self._chapter("everybody again", "live"):
            self._set(Stage.LIVE, "forward again; the flip back has cost nothing")
            await asyncio.sleep(self._seconds)
        async with self._chapter("ramp-down", "rampdown"):
            self._set(Stage.RAMPDOWN, "no more comparing; Redis is written for the last time")
            await asyncio.sleep(self._seconds)
            self.old_whole_until = time.monotonic()
            await self._caught_up(*Kind)

    async def _leave_old_side(self) -> None:
        async with self._chapter("done", "complete"):
            self._set(Stage.COMPLETE, "only Supabase and Chroma; marks say what Redis lacks: the way back stays open")
            await asyncio.sleep(self._seconds)

    def _set(self, stage: Stage, meaning: str, share: Share | None = None) -> None:
        self._operations.set_stage(stage, share=share)
        self._tell(stage if share is None else share.stage, meaning)

    async def _everybody_settled(self) -> None:
        """Wait until every process serves the new stage, and Redis has all that Supabase alone had."""
        await asyncio.sleep(_SEEN_BY_ALL)
        await self._caught_up(Kind.CHAT)

    async def _caught_up(self, *kinds: Kind) -> None:
        """Wait until all that is marked now is merged."""
        if await self._operations.caught_up(kinds, within=_SOON):
            return
        leased = Kind.DOCUMENTS in kinds
        self._tell("wait", "for a mark that is kept until no write can come late" if leased else "for the last marks")
        if not await self._operations.caught_up(kinds, within=_AT_LAST):
            raise WalkError(f"marks were still open after {_AT_LAST:.0f} s")

    def _goes_on(self, began: float) -> bool:
        """Return whether a chapter has not told enough yet to end."""
        return time.monotonic() < began + _ENOUGH_WITHIN and self._fleet.written_since(began) < ENOUGH_WRITES

    @asynccontextmanager
    async def _chapter(self, title: str, stage: str) -> AsyncIterator[None]:
        began = time.monotonic()
        yield
        while self._goes_on(began):  # noqa: ASYNC110 - what is waited for happens in other processes
            await asyncio.sleep(_LOOKS_EVERY)
        marks = await self._operations.marks()
        self.chapters.append(Chapter(title, stage, began, marks))

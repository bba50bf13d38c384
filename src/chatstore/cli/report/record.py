"""What a page says of a command: collected while it works, so that there is something to say if it is stopped."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from chatstore.errors import ChatStoreError
from chatstore.models import Kind, Quarantined, utc_now

if TYPE_CHECKING:
    from chatstore.interfaces import Progress
    from chatstore.migration import BackfillReport, History, OnProgress, ProgressEvent, VerifyReport
    from chatstore.settings import Settings

_LISTED = 200
_ASKED_FOR = 5.0
"""Seconds: what is in quarantine is not worth more of the time of somebody who pressed Ctrl-C."""


@dataclass(slots=True, kw_only=True)
class Chapter:
    """What became of one kind.

    Attributes:
        kind: Which.
        history: What happened over time.
        report: How it came out; None when it did not come to its end.
        quarantined: The first records in quarantine, by key.
        quarantine_count: How many there are; None while that is not known.
    """

    kind: Kind
    history: History
    report: BackfillReport | VerifyReport | None = None
    quarantined: list[Quarantined] = field(default_factory=list)
    quarantine_count: int | None = None

    def listening(self, shown: OnProgress) -> OnProgress:
        """Return a listener that keeps each event, and shows it as well."""

        def both(event: ProgressEvent) -> None:
            self.history(event)
            shown(event)

        return both


class Record:
    """What is said of one call of a command.

    Args:
        command: How it was called.
        wanted: Whether anybody wants to read it; what costs something is left out otherwise.
    """

    def __init__(self, command: str, *, wanted: bool) -> None:
        self.command = command
        self.started_at: datetime = utc_now()
        self.ended_at: datetime | None = None
        self.host = socket.gethostname()
        self.pid = os.getpid()
        self.settings: Settings | None = None
        self.chapters: list[Chapter] = []
        self.stopped = ""
        self._wanted = wanted

    @asynccontextmanager
    async def chapter(self, kind: Kind, progress: Progress) -> AsyncGenerator[Chapter, None]:
        """Give the chapter of one kind, and note what is in quarantine when the block ends, however it does."""
        from chatstore.migration import History

        chapter = Chapter(kind=kind, history=History())
        self.chapters.append(chapter)
        try:
            yield chapter
        finally:
            if self._wanted:
                try:
                    async with asyncio.timeout(_ASKED_FOR):
                        await _look_into_quarantine(chapter, progress)
                except (ChatStoreError, TimeoutError):
                    chapter.quarantine_count = None


async def _look_into_quarantine(chapter: Chapter, progress: Progress) -> None:
    chapter.quarantine_count = await progress.count_quarantined()
    async with aclosing(progress.quarantined()) as held:  # type: ignore[type-var] # each Progress has a generator
        async for record in held:
            chapter.quarantined.append(record)
            if len(chapter.quarantined) >= _LISTED:
                break
    chapter.quarantined.sort(key=lambda record: record.key)

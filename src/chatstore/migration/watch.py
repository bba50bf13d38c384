"""What is told of a run while nothing moves, too: to its listener, and to who asks from another process."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from chatstore.errors import ChatStoreError
from chatstore.interfaces import Progress
from chatstore.migration.reporter import Reporter
from chatstore.migration.snapshot import Snapshot
from chatstore.models import utc_now

_TOLD_EVERY = 0.5
_SAVED_EVERY = 1.0
_KEPT = 10.0
"""Seconds: a run that was not heard of for so long is taken for dead."""
_FORGOTTEN_WITHIN = 2.0

_log = logging.getLogger(__name__)


@asynccontextmanager
async def watched(
    reporter: Reporter, progress: Progress, run: str, *, holder: str | None
) -> AsyncGenerator[None, None]:
    """Tell of a run for the length of the block: its listener twice a second, and `progress` once.

    That it cannot be told, because a server is away, does not concern the run.

    Args:
        reporter: The run's.
        progress: Where others may ask for it.
        run: Its name.
        holder: Who holds the lease; None: a run that needs none.
    """
    save = partial(progress.save_report, run, holder=holder, seconds=_KEPT)
    started_at = utc_now()

    async def tell() -> None:
        while True:
            await asyncio.sleep(_TOLD_EVERY)
            reporter.tell()

    async def keep() -> None:
        while True:
            snapshot = Snapshot(
                run=run,
                host=socket.gethostname(),
                pid=os.getpid(),
                started_at=started_at,
                at=utc_now(),
                event=reporter.event(),
            )
            try:
                await save(snapshot.encode())
            except ChatStoreError as error:
                _log.debug("how far the %s came could not be told: %s", run, error)
            await asyncio.sleep(_SAVED_EVERY)

    telling = [asyncio.create_task(tell()), asyncio.create_task(keep())]
    try:
        yield
    finally:
        for task in telling:
            task.cancel()
        await asyncio.gather(*telling, return_exceptions=True)
        try:
            async with asyncio.timeout(_FORGOTTEN_WITHIN):
                await save(None)
        except (ChatStoreError, TimeoutError) as error:
            _log.debug("the %s is told to be under way for %.0f s yet: %s", run, _KEPT, error)

"""A pool of processes on this machine, which ends with the process that made it, however that ends."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from typing import ParamSpec, TypeVar

from chatstore.workers.recipe import Recipe
from chatstore.workers.runner import ExecutorRunner

P = ParamSpec("P")
T = TypeVar("T")


@asynccontextmanager
async def process_pool(recipe: Recipe, workers: int) -> AsyncGenerator[ExecutorRunner, None]:
    """Yield a runner over processes of its own. When the block ends, so do they, in the middle of whatever they do.

    A process that dies costs the batches that were under way, which are done again by new processes.

    Args:
        recipe: How they open the two sides.
        workers: How many processes.
    """
    # Processes that begin anew, as a fork would take over this one's threads, locks and connections.
    context = multiprocessing.get_context("spawn")
    # The workers see the other end closed when this process closes it, or is killed.
    theirs, ours = context.Pipe(duplex=False)
    pools: list[ProcessPoolExecutor] = []

    def make() -> ProcessPoolExecutor:
        pools.append(_Pool(workers, context, initializer=_tie_to_planner, initargs=(theirs,)))
        return pools[-1]

    try:
        yield ExecutorRunner(make, recipe, workers=workers)
    finally:
        ours.close()
        for pool in pools:
            await asyncio.to_thread(pool.shutdown, cancel_futures=True)
        theirs.close()


class _Pool(ProcessPoolExecutor):
    """Starts its processes, at the first call, deaf to Ctrl-C, which they would otherwise hear while they import."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        if not hasattr(signal, "pthread_sigmask"):  # not on Windows
            return super().submit(fn, *args, **kwargs)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _tie_to_planner(planner: Connection) -> None:
    """Let this process end as soon as the planner does. Ctrl-C reaches both, and is the planner's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(planner,), name="chatstore-planner", daemon=True).start()


def _end_with(planner: Connection) -> None:
    try:
        planner.recv_bytes()
    except (EOFError, OSError):
        # Not in order, which would wait for servers: what it writes is written in one transaction, or once more.
        os._exit(0)

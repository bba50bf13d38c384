"""How fast a chat backfill is when other processes copy the batches, beside this process alone.

    python -m benchmarks.workers [MESSAGES]

The messages of `benchmarks.chat_backfill`, each time into empty tables: by this process, by pools of 1, 2 and 4
processes that have started already, and by this process again, with `SUPABASE_DB_URL`. With all servers on one
machine, the processes compete with them for its CPUs: what a pool gains shows only where there are more of these.
"""

from __future__ import annotations

import asyncio
import sys
import time

from benchmarks.chat_backfill import fill
from benchmarks.raw_supabase import A_SESSION
from benchmarks.results import Row, per_second, show, timed
from benchmarks.servers import begin_anew, nothing, settings_of, stack
from chatstore.backends import Backends
from chatstore.local import LocalStack
from chatstore.migration import BackfillOptions, backfill_chat
from chatstore.models import Kind
from chatstore.workers import ExecutorRunner, Recipe, process_pool

_POOLS = (1, 2, 4)


def measure(messages: int = 100_000) -> list[Row]:
    """Return the comparisons."""
    with stack() as servers:
        return asyncio.run(_measure(servers, messages // A_SESSION))


async def _measure(servers: LocalStack, sessions: int) -> list[Row]:
    await fill(servers.settings.redis_url, sessions)
    count = sessions * A_SESSION
    settings = settings_of(servers, db_url=True)
    async with Backends(settings) as backends:
        begun = time.process_time()
        alone = await _seconds(servers, backends, None)
        busy = (time.process_time() - begun) / alone
        pools = {}
        for workers in _POOLS:
            async with process_pool(Recipe.of(backends), workers) as runner:
                await _seconds(servers, backends, runner)  # the processes have started by then
                pools[workers] = await _seconds(servers, backends, runner)
        again = await _seconds(servers, backends, None)
    return [
        Row(
            "what this process itself works, when it is alone",
            f"{busy * alone / count * 1e6:.1f} µs a message",
            f"what passes: {alone / count * 1e6:.1f} µs",
            busy,
        ),
        *_pool_rows(pools, min(alone, again), count),
    ]


def _pool_rows(pools: dict[int, float], alone: float, count: int) -> list[Row]:
    """Return what pools of so many processes took, beside this process alone."""
    return [
        Row(
            f"chat backfill by a pool of {workers}",
            per_second(count, seconds, "messages"),
            f"this process alone: {per_second(count, alone, 'messages')}",
            alone / seconds,
        )
        for workers, seconds in pools.items()
    ]


async def _seconds(servers: LocalStack, backends: Backends, runner: ExecutorRunner | None) -> float:
    sides, progress = await backends.chat_sides(), backends.progress(Kind.CHAT)
    await begin_anew(servers, sides)
    options = BackfillOptions() if runner is None else BackfillOptions(at_once=runner.at_once)
    work = backfill_chat(sides.old, sides.new, progress, repair=nothing, options=options, runner=runner)
    seconds, report = await timed(work)
    if not report.complete:
        raise RuntimeError(report)
    return seconds


if __name__ == "__main__":
    show(measure(*map(int, sys.argv[1:2])))

"""How much memory a migration needs when there is ten times as much to move.

    python -m benchmarks.memory [MESSAGES]

Redis is filled with sessions of 20 messages in the layout `hash`, with a tenth of them and then with all. A backfill
with `SUPABASE_DB_URL` and a verify, each in a process of its own, tell the most that they ever had resident.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import redis

from benchmarks.chat_backfill import fill
from benchmarks.raw_supabase import A_SESSION, empty_tables
from benchmarks.results import Row, show
from benchmarks.servers import stack
from chatstore.backends import Backends
from chatstore.migration import backfill_chat, verify_chat
from chatstore.models import Kind
from chatstore.routing import chat_repairer
from chatstore.settings import load_settings

_WORKS = ("backfill", "verify")
_MEGABYTE = 1 << 20


def measure(messages: int = 1_000_000) -> list[Row]:
    """Return the comparisons."""
    with stack() as servers:
        at = servers.settings
        environment = {
            "REDIS_URL": at.redis_url,
            "SUPABASE_URL": at.supabase_url,
            "SUPABASE_SECRET_KEY": at.supabase_secret_key,
            "SUPABASE_DB_URL": at.supabase_db_url,
        }
        return asyncio.run(compared(environment, messages // 10, messages))


async def compared(environment: dict[str, str], few: int, many: int) -> list[Row]:
    """Return the comparisons, of fewer messages and of more, on servers that may be emptied."""
    peaks = {count: await _peaks(environment, count) for count in (few, many)}
    return [
        Row(
            f"the most memory that a {work} of {many:,} messages has",
            f"{peaks[many][work] / _MEGABYTE:.1f} MB",
            f"{few:,} messages: {peaks[few][work] / _MEGABYTE:.1f} MB",
            peaks[many][work] / peaks[few][work],
            at_most=1.1,
        )
        for work in _WORKS
    ]


async def _peaks(environment: dict[str, str], messages: int) -> dict[str, int]:
    with redis.Redis.from_url(environment["REDIS_URL"]) as client:
        client.flushdb()
    await empty_tables(environment["SUPABASE_DB_URL"])
    await fill(environment["REDIS_URL"], messages // A_SESSION)
    return {work: await asyncio.to_thread(_peak_of, work, environment) for work in _WORKS}


def _peak_of(work: str, environment: dict[str, str]) -> int:
    """Return the bytes that a process of its own had resident at most."""
    command = [sys.executable, "-m", "benchmarks.memory", "--only", work]
    where = Path(__file__).parent.parent
    done = subprocess.run(command, env={**os.environ, **environment}, cwd=where, stdout=subprocess.PIPE, check=True)  # noqa: S603
    return int(json.loads(done.stdout))


async def _do(work: str) -> None:
    async with Backends(load_settings(_env_file=None)) as backends:
        sides, progress = await backends.chat_sides(), backends.progress(Kind.CHAT)
        repair = chat_repairer(sides).run
        if work == "backfill":
            report = await backfill_chat(sides.old, sides.new, progress, repair=repair)
            if not report.complete:
                raise RuntimeError(report)
        else:
            found = await verify_chat(sides.old, sides.new, progress, repair=repair)
            if found.differences:
                raise RuntimeError(found)


def _peak() -> int:
    """Return the bytes that this process had resident at most."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in `ru_maxrss` what the parent had when it started this process.
    [peak] = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(peak) * 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["--only"]:
        asyncio.run(_do(sys.argv[2]))
        print(_peak())
    else:
        show(measure(*map(int, sys.argv[1:2])))

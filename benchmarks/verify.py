"""How fast a verify is, beside the backfill before it.

    python -m benchmarks.verify [MESSAGES]

Redis is filled with sessions of 20 messages in the layout `hash`, and a backfill copies them. In one run:

- a verify, with `SUPABASE_DB_URL` and without: what was copied is proved equal by digests, and none of it is read;
- a verify in a tenth of whose sessions one message was changed on the new side: these are read;
- a verify that has no digests, so that all contents are read on both sides and compared.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import TypeVar

import psycopg

from benchmarks.chat_backfill import fill
from benchmarks.results import Row, per_second, show, timed
from benchmarks.servers import settings_of, stack
from chatstore.backends import Backends
from chatstore.local import LocalStack
from chatstore.migration import VerifyReport, backfill_chat, verify_chat
from chatstore.models import Kind
from chatstore.routing import chat_repairer

T = TypeVar("T")

_A_SESSION = 20
_CHANGED = """
    update public.messages set content = content || '!'
    where position = 3 and session_id like '%7'
"""
_MENDED = """
    update public.messages set content = rtrim(content, '!')
    where position = 3 and session_id like '%7'
"""


def measure(messages: int = 100_000) -> list[Row]:
    """Return the comparisons."""
    with stack() as servers:
        return asyncio.run(_measure(servers, messages // _A_SESSION))


async def _measure(servers: LocalStack, sessions: int) -> list[Row]:
    await fill(servers.settings.redis_url, sessions)
    copied, by_digest, _ = await _ours(servers, db_url=True)
    _execute(servers, "truncate public.sessions, chatstore.session_states cascade")
    copied_by_api, by_digest_by_api, others = await _ours(servers, db_url=False)
    count = sessions * _A_SESSION

    def row(work: str, seconds: float, beside: float, target: float | None = None) -> Row:
        rates = (per_second(count, one, "messages") for one in (seconds, beside))
        return Row(work, next(rates), f"the backfill: {next(rates)}", beside / seconds, at_least=target)

    return [
        row("verify with `SUPABASE_DB_URL`", by_digest, copied, 2),
        row("verify by the API only", by_digest_by_api, copied_by_api, 2),
        row("the same, with a difference in every tenth session", others["changed"], copied_by_api),
        row("the same, without digests", others["read"], copied_by_api),
    ]


async def _ours(servers: LocalStack, *, db_url: bool) -> tuple[float, float, Mapping[str, float]]:
    """Return the seconds of a backfill, of a verify, and of other verifies."""
    async with Backends(settings_of(servers, db_url=db_url)) as backends:
        sides, progress = await backends.chat_sides(), backends.progress(Kind.CHAT)
        for side in (sides.old, sides.new):
            await side.journal.forget_state()
        repair = chat_repairer(sides, progress=progress).run

        async def verify(*, equal: bool, by_digest: bool) -> float:
            seconds, report = await timed(verify_chat(sides.old, sides.new, progress, repair=repair))
            _check(report, equal=equal, by_digest=by_digest)
            return seconds

        copied, _ = await timed(backfill_chat(sides.old, sides.new, progress, repair=repair))
        proved = await verify(equal=True, by_digest=True)
        if db_url:
            return copied, proved, {}
        _execute(servers, _CHANGED)
        changed = await verify(equal=False, by_digest=True)
        _execute(servers, _MENDED)
        _execute(servers, "delete from chatstore.copied")
        return copied, proved, {"changed": changed, "read": await verify(equal=True, by_digest=False)}


def _check(report: VerifyReport, *, equal: bool, by_digest: bool) -> None:
    """Raise if a verify was not the one that is to be measured."""
    if report.equal is not equal or bool(report.by_digest.messages) is not by_digest or not report.backfilled:
        raise RuntimeError(report)


def _execute(servers: LocalStack, statement: str) -> None:
    with psycopg.connect(servers.settings.supabase_db_url, autocommit=True) as connection:
        connection.execute(statement)


if __name__ == "__main__":
    show(measure(*map(int, sys.argv[1:])))

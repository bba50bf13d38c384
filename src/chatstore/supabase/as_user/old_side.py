"""What the old side says is a user's, and must be readable as that user on the new one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from chatstore.errors import NotFoundError
from chatstore.interfaces import ChatSide
from chatstore.supabase import text
from chatstore.supabase.as_user.catalog import SESSIONS
from chatstore.supabase.as_user.report import LISTED, Finding, Wrong
from chatstore.supabase.database import SupabaseDatabase

_PAGE: Final = 200
_LOOKS: Final = 5
_WAIT: Final = 0.2

_ABSENT: Final = """
select asked.id
from unnest(%s::text[]) asked (id)
where not exists (select from public.sessions s where s.id = asked.id and s.user_id = %s)
  and not exists (select from chatstore.marks m where m.user_id = %s and m.key = asked.id)
"""


async def may_be_asked(old: ChatSide) -> bool:
    """Return whether the old side is one that the new side must be equal to: copied from, and not given up since."""
    state = await old.journal.state()
    return state.backfilled_at is not None and not state.way_back_closed


async def look_at_old_side(database: SupabaseDatabase, old: ChatSide, user_id: str) -> tuple[int, Finding | None]:
    """Return how many sessions of a user the old side tells, and which of them are not this user's on the new side.

    What is hidden of those that are is found without the old side. What is written just now is not looked at: a mark
    says so, or a second look finds it.
    """
    asked = 0
    absent: list[str] = []
    async for session_ids in _pages(old, user_id):
        asked += len(session_ids)
        absent += await _absent(database, old, user_id, session_ids)
    if not absent:
        return asked, None
    finding = Finding(
        visitor=user_id, wrong=Wrong.MISSING, place=SESSIONS, rows=len(absent), sessions=tuple(absent[:LISTED])
    )
    return asked, finding


async def _pages(old: ChatSide, user_id: str) -> AsyncIterator[Sequence[str]]:
    after = None
    while True:
        page = await old.list_sessions(user_id, limit=_PAGE, after=after)
        yield [session.id for session in page.items]
        if page.next is None:
            return
        after = page.next


async def _absent(database: SupabaseDatabase, old: ChatSide, user_id: str, session_ids: Sequence[str]) -> Sequence[str]:
    """Return which sessions are on the old side, not on the new one, and marked on neither.

    Where there is no mark after a session was seen on the old side, the new side was written. So it is there a moment
    later, unless it was deleted meanwhile on both.
    """
    for look in range(_LOOKS):
        # The first time they were listed a moment ago.
        session_ids = session_ids if look == 0 else await _still_there(old, user_id, session_ids)
        if not session_ids:
            return ()
        marked = {mark.key for mark in await old.journal.marks_of(user_id, session_ids)}
        absent = await _not_on_new(database, user_id, [name for name in session_ids if name not in marked])
        absent = await _still_there(old, user_id, absent)
        if not absent and not marked:
            return ()
        if look + 1 < _LOOKS:
            await asyncio.sleep(_WAIT * 2**look)
            session_ids = [*absent, *marked]
    return absent


async def _not_on_new(database: SupabaseDatabase, user_id: str, session_ids: Sequence[str]) -> Sequence[str]:
    if not session_ids:
        return ()
    stored = text.encode(user_id)
    async with database.snapshot() as transaction:
        rows = await transaction.rows(_ABSENT, [text.encode(name) for name in session_ids], stored, stored)
    return [text.decode(name) for (name,) in rows]


async def _still_there(old: ChatSide, user_id: str, session_ids: Sequence[str]) -> Sequence[str]:
    there = []
    for name in session_ids:
        try:
            await old.get_session(user_id, name)
        except NotFoundError:
            continue
        there.append(name)
    return there

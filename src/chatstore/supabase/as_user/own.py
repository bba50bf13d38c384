"""What a user must see: all of their own that has not expired."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from chatstore.supabase import text
from chatstore.supabase.as_user.catalog import MESSAGES, SESSIONS
from chatstore.supabase.as_user.functions import OF_A_SESSION, ask_functions
from chatstore.supabase.as_user.report import LISTED, Finding, Wrong
from chatstore.supabase.as_user.visitor import Refused, Visitor, seen
from chatstore.supabase.database import Transaction

_PAGE: Final = 500

_OWN: Final = """
select s.id, s.updated_at::text
from public.sessions s
where s.user_id = %s
  and (s.updated_at, s.id) < (%s::timestamptz, %s)
  and (s.expires_at is null or s.expires_at > now())
order by s.updated_at desc, s.id desc
limit %s
"""
_SESSIONS: Final = """
select s.id from public.sessions s where s.id = any (%s) and (s.expires_at is null or s.expires_at > now())
"""
_MESSAGES: Final = """
select m.session_id, count(*), count(*) filter (where m.user_id = %s)
from public.messages m
where m.session_id = any (%s) and (m.expires_at is null or m.expires_at > now())
group by m.session_id
"""
_ASKED: Final = """
select own.id, own.messages, %s::text as user_id from unnest(%s::text[], %s::bigint[]) own (id, messages)
"""
# Where they do not tell what the tables tell.
_BY_FUNCTION: Final = {
    "public.chatstore_session()": f"public.chatstore_session({OF_A_SESSION}) is null",
    "public.chatstore_messages()": f"public.chatstore_messages({OF_A_SESSION}) is null",
    "public.chatstore_last_messages()": f"public.chatstore_last_messages({OF_A_SESSION}) is null",
    "public.chatstore_count_messages()": (
        f"public.chatstore_count_messages({OF_A_SESSION})::bigint is distinct from asked.messages"
    ),
}
_LIST: Final = "public.chatstore_sessions()"
_LISTED_BY_FUNCTION: Final = """
select listed ->> 'id'
from json_array_elements(
  public.chatstore_sessions(json_build_object('user_id', %s::text, 'before_id', '', 'limit', %s::integer)::text)::json
) listed
"""


@dataclass(slots=True)
class Sums:
    """What was found page by page, summed up by place.

    Attributes:
        sessions: How many own sessions were looked for.
        messages: How many messages of them.
    """

    sessions: int = 0
    messages: int = 0
    _rows: Counter[tuple[Wrong, str]] = field(default_factory=Counter)
    _ids: dict[tuple[Wrong, str], list[str]] = field(default_factory=dict)
    _errors: dict[str, str] = field(default_factory=dict)

    def add(self, wrong: Wrong, place: str, rows: int, session_id: str) -> None:
        """Note that so many rows of a session are wrong."""
        self._rows[wrong, place] += rows
        ids = self._ids.setdefault((wrong, place), [])
        if len(ids) < LISTED:
            ids.append(text.decode(session_id))

    def refuse(self, place: str, error: str) -> None:
        """Note that the place cannot be asked at all."""
        self._errors.setdefault(place, error)

    def findings(self, visitor: str) -> list[Finding]:
        """Return all as findings."""
        refused = [
            Finding(visitor=visitor, wrong=Wrong.REFUSED, place=place, error=error)
            for place, error in self._errors.items()
        ]
        return refused + [
            Finding(visitor=visitor, wrong=wrong, place=place, rows=rows, sessions=tuple(self._ids[wrong, place]))
            for (wrong, place), rows in self._rows.items()
        ]


async def look_for_own(transaction: Transaction, visitor: Visitor) -> Sums:
    """Return which of a user's own records the user cannot read."""
    sums = Sums()
    async for session_ids in _own_sessions(transaction, visitor.user_id or ""):
        sums.sessions += len(session_ids)
        visible = await _look_for_sessions(transaction, visitor, session_ids, sums)
        readable = await _look_for_messages(transaction, visitor, session_ids, sums)
        if visible is not None and sums.sessions == len(session_ids):
            await _look_at_list(transaction, visitor, visible, sums)
        if visible is not None and readable is not None:
            await _look_by_functions(transaction, visitor, visible, readable, sums)
    return sums


async def _own_sessions(transaction: Transaction, user_id: str) -> AsyncIterator[Sequence[str]]:
    at, before = "infinity", ""
    while True:
        rows = await transaction.rows(_OWN, user_id, at, before, _PAGE)
        if rows:
            yield [session_id for session_id, _ in rows]
        if len(rows) < _PAGE:
            return
        before, at = rows[-1]


async def _look_for_sessions(
    transaction: Transaction, visitor: Visitor, session_ids: Sequence[str], sums: Sums
) -> Sequence[str] | None:
    """Return which of the sessions the user sees in the table; None where it refuses to tell."""
    try:
        visible = {name for (name,) in await seen(transaction, visitor, _SESSIONS, session_ids)}
    except Refused as refused:
        sums.refuse(SESSIONS, str(refused))
        return None
    for name in session_ids:
        if name not in visible:
            sums.add(Wrong.HIDDEN, SESSIONS, 1, name)
    return [name for name in session_ids if name in visible]


async def _look_for_messages(
    transaction: Transaction, visitor: Visitor, session_ids: Sequence[str], sums: Sums
) -> Mapping[str, int] | None:
    """Return how many messages of each session the user sees in the table; None where it refuses to tell.

    What the user sees of these is a part of what there is, at the same moment: so it is all, where it is as many.
    """
    there = await transaction.rows(_MESSAGES, visitor.user_id, session_ids)
    sums.messages += sum(count for _, count, _ in there)
    try:
        readable = {
            name: count for name, count, _ in await seen(transaction, visitor, _MESSAGES, visitor.user_id, session_ids)
        }
    except Refused as refused:
        sums.refuse(MESSAGES, str(refused))
        return None
    for name, count, named_so in there:
        misowned = count - named_so
        hidden = count - readable.get(name, 0)
        if misowned:
            sums.add(Wrong.MISOWNED, MESSAGES, misowned, name)
        if hidden > misowned:
            sums.add(Wrong.HIDDEN, MESSAGES, hidden - misowned, name)
    return readable


async def _look_at_list(transaction: Transaction, visitor: Visitor, visible: Sequence[str], sums: Sums) -> None:
    """Note which sessions of the first page are not in the list that an app shows."""
    try:
        rows = await seen(transaction, visitor, _LISTED_BY_FUNCTION, visitor.user_id, _PAGE)
    except Refused as refused:
        sums.refuse(_LIST, str(refused))
        return
    listed = {name for (name,) in rows}
    for name in visible:
        if name not in listed:
            sums.add(Wrong.HIDDEN, _LIST, 1, name)


async def _look_by_functions(
    transaction: Transaction, visitor: Visitor, visible: Sequence[str], readable: Mapping[str, int], sums: Sums
) -> None:
    """Note which sessions the user sees in the tables, and not by the functions that an app calls."""
    counts = [readable.get(name, 0) for name in visible]
    parameters = (visitor.user_id, visible, counts)
    untold = await ask_functions(transaction, visitor, _ASKED, parameters, _BY_FUNCTION)
    for place, found in untold.items():
        if isinstance(found, Refused):
            sums.refuse(place, str(found))
            continue
        for name in found:
            sums.add(Wrong.HIDDEN, place, 1, name)

"""What nobody may see: records of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chatstore.supabase import text
from chatstore.supabase.as_user.catalog import Place
from chatstore.supabase.as_user.functions import OF_A_SESSION, ask_functions
from chatstore.supabase.as_user.report import LISTED, Finding, Wrong
from chatstore.supabase.as_user.sample import Range
from chatstore.supabase.as_user.visitor import Refused, Visitor, seen
from chatstore.supabase.database import Transaction

_GROUPS: Final = 2000
"""How many sessions one look tells of, at most."""

_OTHERS: Final = """
select asked.id
from unnest(%s::text[]) asked (id)
where not exists (select from public.sessions s where s.id = asked.id and s.user_id = %s)
  and not exists (select from chatstore.session_states s where s.session_id = asked.id and s.user_id = %s)
"""
_OF_A_USER: Final = "json_build_object('user_id', asked.user_id, 'before_id', '', 'limit', 1)::text"
FUNCTIONS: Final = {
    "public.chatstore_sessions()": f"coalesce(public.chatstore_sessions({_OF_A_USER}), '[]') <> '[]'",
    "public.chatstore_session()": f"public.chatstore_session({OF_A_SESSION}) is not null",
    "public.chatstore_messages()": f"public.chatstore_messages({OF_A_SESSION}) is not null",
    "public.chatstore_last_messages()": f"public.chatstore_last_messages({OF_A_SESSION}) is not null",
    "public.chatstore_count_messages()": f"public.chatstore_count_messages({OF_A_SESSION}) is not null",
}
_ASKED: Final = "select others.id, others.user_id from unnest(%s::text[], %s::text[]) others (id, user_id)"


@dataclass(frozen=True, slots=True)
class Looked:
    """What looking at one place came to.

    Attributes:
        finding: What is wrong there; None where nothing is.
        untold: Why it could not be told; empty where it could.
    """

    finding: Finding | None = None
    untold: str = ""


async def look_for_foreign(transaction: Transaction, visitor: Visitor, place: Place, chosen: Sequence[Range]) -> Looked:
    """Look whether somebody sees rows of others in a table or a view; in the first part where so, it is left off."""
    parts: Sequence[Range | None] = chosen if place.in_order else (None,)
    for number, part in enumerate(parts, 1):
        try:
            rows = await _visible(transaction, visitor, place, part)
        except Refused as refused:
            return Looked(untold=f"{place.name} was not searched: Postgres refused it ({refused})")
        if rows is None:
            return Looked(untold=f"{place.name} was not searched: its rows do not say whose they are")
        cut = len(rows) == _GROUPS
        if visitor.user_id is not None and place.owner is None:
            others = await _of_others(transaction, visitor.user_id, list(rows))
            rows = {name: count for name, count in rows.items() if name in others}
        if rows:
            return Looked(
                Finding(
                    visitor=visitor.name,
                    wrong=Wrong.FOREIGN,
                    place=place.name,
                    rows=sum(rows.values()),
                    at_least=cut or number < len(parts),
                    sessions=tuple(text.decode(name) for name in sorted(filter(None, rows))[:LISTED]),
                )
            )
    return Looked()


async def look_by_functions(transaction: Transaction, visitor: Visitor, others: Mapping[str, str]) -> Sequence[Finding]:
    """Ask the functions that an app calls for sessions of others, by their owner; `others` tells that by session."""
    asked = {name: owner for name, owner in others.items() if owner != visitor.user_id}
    findings = []
    parameters = (list(asked), list(asked.values()))
    answers = await ask_functions(transaction, visitor, _ASKED, parameters, FUNCTIONS)
    for place, told in answers.items():
        # What is refused gives nothing away. Whether it gives a user their own is looked for elsewhere.
        if told and not isinstance(told, Refused):
            sessions = tuple(text.decode(name) for name in told[:LISTED])
            findings.append(
                Finding(
                    visitor=visitor.name, wrong=Wrong.FOREIGN, place=place, rows=len(told), at_least=True,
                    sessions=sessions,
                )
            )  # fmt: skip
    return findings


async def _visible(
    transaction: Transaction, visitor: Visitor, place: Place, part: Range | None
) -> dict[str, int] | None:
    """Return how many rows the visitor sees by session, not their own where the rows say so; None if nothing tells."""
    if place.session is None and place.owner is None and visitor.user_id is not None:
        return None
    conditions, parameters = ["true"], []
    if place.owner is not None and visitor.user_id is not None:
        # In a view it may have another type, and no index that it would cost.
        owner = place.owner if place.in_order else f"{place.owner}::text"
        conditions.append(f"{owner} is distinct from %s")
        parameters.append(visitor.user_id)
    if part is not None and place.session is not None:
        conditions.append(f"{place.session} > %s")
        parameters.append(part.after)
        if part.last is not None:
            conditions.append(f"{place.session} <= %s")
            parameters.append(part.last)
    session = "''" if place.session is None else f"{place.session}::text"
    query = f"select {session}, count(*) from {place.name} where {' and '.join(conditions)} group by 1 limit {_GROUPS}"
    rows = await seen(transaction, visitor, query, *parameters)
    return {name or "": count for name, count in rows}


async def _of_others(transaction: Transaction, user_id: str, session_ids: Sequence[str]) -> set[str]:
    return {name for (name,) in await transaction.rows(_OTHERS, session_ids, user_id, user_id)}

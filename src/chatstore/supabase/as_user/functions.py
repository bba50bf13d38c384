"""What the functions tell a visitor that an app calls: all of them in one question, as long as none is refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from chatstore.supabase.as_user.visitor import Refused, Visitor, seen
from chatstore.supabase.database import Transaction

OF_A_SESSION: Final = "json_build_object('user_id', asked.user_id, 'session_id', asked.id, 'limit', 1)::text"
"""What a function takes to read a session that is asked for, in SQL."""


async def ask_functions(
    transaction: Transaction, visitor: Visitor, asked: str, parameters: Sequence[object], conditions: Mapping[str, str]
) -> Mapping[str, Sequence[str] | Refused]:
    """Return by function for which sessions its condition holds, or how it was refused.

    Args:
        transaction: Where to ask.
        visitor: As whom.
        asked: A query that gives the sessions: a column `id`, and what else the conditions name.
        parameters: What goes into it.
        conditions: By function, what is looked for, in SQL.
    """

    async def ask(places: Sequence[str]) -> Mapping[str, Sequence[str]]:
        each = [f"select '{place}', asked.id from asked where {conditions[place]}" for place in places]
        query = f"with asked as materialized ({asked}) {' union all '.join(each)}"
        found = defaultdict(list)
        for place, session_id in await seen(transaction, visitor, query, *parameters):
            found[place].append(session_id)
        return found

    try:
        return await ask(list(conditions))
    except Refused:
        answers: dict[str, Sequence[str] | Refused] = {}
        for place in conditions:
            try:
                answers[place] = (await ask([place])).get(place, ())
            except Refused as refused:
                answers[place] = refused
        return answers

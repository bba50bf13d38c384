"""Reading as the end users would, through row-level security, before they do: is all theirs there, and nothing else?

A policy is found by what it does and not by what it says. For each of some users the database is read twice at one
moment: by the role of `SUPABASE_DB_URL`, which row-level security does not concern, and as that user, by the role and
the claims that the API would set for a request with the user's token. What the first reading says is the user's must be
in the second, and nothing of anybody else. Three visitors who own nothing must see nothing: a user who has no records,
a token that names no user, and somebody who is not logged in.

Nothing is written: each reading is a transaction that Postgres lets write nothing. Where it is asked for, writes are
tried in other transactions, and undone.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from chatstore.errors import InvalidRecordError
from chatstore.interfaces import ChatSide
from chatstore.models import new_id
from chatstore.models.values import check_id
from chatstore.supabase import text
from chatstore.supabase.as_user.catalog import Place, check_rights, places
from chatstore.supabase.as_user.foreign import FUNCTIONS, look_by_functions, look_for_foreign
from chatstore.supabase.as_user.old_side import look_at_old_side, may_be_asked
from chatstore.supabase.as_user.own import look_for_own
from chatstore.supabase.as_user.report import AsUserReport, Finding, Suspect, Visit, Wrong
from chatstore.supabase.as_user.sample import Ranges, drawn_users, ranges
from chatstore.supabase.as_user.suspects import suspects
from chatstore.supabase.as_user.visitor import Visitor, outsiders
from chatstore.supabase.as_user.writes import try_to_write
from chatstore.supabase.database import SupabaseDatabase, Transaction

_SEEDS: Final = 1_000_000
_OTHERS: Final = 20
_OTHERS_SESSIONS: Final = 3
_OF_OTHERS: Final = """
select found.id, found.user_id
from unnest(%s::text[]) asked (user_id)
cross join lateral (
  select s.id, s.user_id
  from public.sessions s
  where s.user_id = asked.user_id and (s.expires_at is null or s.expires_at > now())
  order by s.updated_at desc, s.id desc
  limit %s
) found
order by exists (
  select from public.messages m
  where m.session_id = found.id and (m.expires_at is null or m.expires_at > now())
) desc
"""
"""Those that have messages first, as what is tried with messages is told by them alone."""


async def verify_as_users(
    database: SupabaseDatabase,
    *,
    user_ids: Sequence[str] = (),
    users: int = 20,
    seed: int | None = None,
    rows: int = 1_000_000,
    writes: bool = False,
    claims: Mapping[str, object] | None = None,
    old: ChatSide | None = None,
    on_visit: Callable[[int, int], None] | None = None,
) -> AsUserReport:
    """Read as some of the users, through row-level security; return what is hidden, and what of others is not.

    Apps may be at work meanwhile: each visit sees the database as it is at one moment.

    Args:
        database: The database, reached as a role that row-level security does not concern.
        user_ids: As which users to read; those who have sessions are drawn by chance when there are none.
        users: How many to draw, at most.
        seed: What to draw them by; the same one draws the same users. Made when left out, and told in the report.
        rows: Among about how many messages each visitor looks for those of others, at most; where there are more, in
            a part of all sessions that is drawn by chance. The user's own are always looked for, all of them.
        writes: Whether to try as well what each of them must be able to write, and what nobody may; every attempt is
            undone at once. Triggers of the app's own run.
        claims: What the users' tokens say beside `sub` and `role`, where the app's policies ask for more.
        old: The old side, to be asked which sessions a user has; not asked before a backfill came to its end, nor
            after the way back was closed.
        on_visit: Is called after each visit with how many there were and how many there are in all.

    Raises:
        InvalidRecordError: A user id is none.
        ConfigurationError: The role of the URL does not see everything, or may not act as a user.
        UnavailableError: The database, or the old side, did not answer.
    """
    for user_id in user_ids:
        check_id(user_id, "user id")
    if users < 1 or rows < 1:
        raise InvalidRecordError("as fewer than one user, or among fewer than one message, nothing can be read")
    seed = secrets.randbelow(_SEEDS) if seed is None else seed
    verify = _Verify(database, seed=seed, rows=rows, writes=writes, claims=claims or {}, old=old, on_visit=on_visit)
    return await verify.run(user_ids, users)


@dataclass(frozen=True, slots=True)
class _Plan:
    visitors: Sequence[Visitor]
    strangers: Sequence[Visitor]
    users: int
    places: Mapping[str, Sequence[Place]]
    ranges: Ranges
    others: Mapping[str, str]


class _Verify:
    def __init__(
        self,
        database: SupabaseDatabase,
        *,
        seed: int,
        rows: int,
        writes: bool,
        claims: Mapping[str, object],
        old: ChatSide | None,
        on_visit: Callable[[int, int], None] | None,
    ) -> None:
        self._database = database
        self._seed = seed
        self._rows = rows
        self._writes = writes
        self._claims = claims
        self._old = old
        self._on_visit = on_visit or (lambda _done, _all: None)
        self._unsearched: dict[str, None] = {}

    async def run(self, user_ids: Sequence[str], users: int) -> AsUserReport:
        began = time.monotonic()
        plan = await self._plan(user_ids, users)
        if self._old is not None and not await may_be_asked(self._old):
            self._old = None
        visits, count = [], len(plan.visitors) + len(plan.strangers)
        for visitor in plan.visitors:
            visits.append(await self._visit(visitor, plan))
            self._on_visit(len(visits), count)
        for visitor in plan.strangers:
            visits.append(await self._visit_of_stranger(visitor, plan))
            self._on_visit(len(visits), count)
        return AsUserReport(
            users=plan.users,
            visits=tuple(visits),
            seed=self._seed,
            sessions=plan.ranges.sessions,
            sessions_searched=plan.ranges.sessions_chosen,
            places=(*dict.fromkeys(place.name for found in plan.places.values() for place in found), *FUNCTIONS),
            unsearched=tuple(self._unsearched),
            suspects=await self._suspects(finding for visit in visits for finding in visit.findings),
            seconds=time.monotonic() - began,
        )

    async def _plan(self, user_ids: Sequence[str], users: int) -> _Plan:
        async with self._database.snapshot() as transaction:
            await check_rights(transaction)
            drawn, total = await drawn_users(transaction, users + _OTHERS, self._seed)
            named = [text.encode(user_id) for user_id in dict.fromkeys(user_ids)]
            others = await transaction.rows(_OF_OTHERS, drawn, _OTHERS_SESSIONS)
            return _Plan(
                visitors=[Visitor.user(user_id, self._claims) for user_id in named or drawn[:users]],
                strangers=outsiders(self._claims, new_id()),
                users=total,
                places=await places(transaction),
                ranges=await ranges(transaction, self._rows, self._seed),
                others=dict(others),
            )

    async def _visit(self, visitor: Visitor, plan: _Plan) -> Visit:
        async with self._database.snapshot() as transaction:
            own = await look_for_own(transaction, visitor)
            findings = own.findings(visitor.name)
            refused = {finding.place for finding in findings if finding.wrong is Wrong.REFUSED}
            findings += await self._foreign(transaction, visitor, plan, refused)
        findings += await self._tried(visitor, plan)
        told, missing = None, None
        if self._old is not None:
            told, missing = await look_at_old_side(self._database, self._old, visitor.name)
        return Visit(
            visitor=visitor.name,
            sessions=own.sessions,
            messages=own.messages,
            old_sessions=told,
            findings=(*findings, *(() if missing is None else (missing,))),
        )

    async def _visit_of_stranger(self, visitor: Visitor, plan: _Plan) -> Visit:
        async with self._database.snapshot() as transaction:
            findings = await self._foreign(transaction, visitor, plan)
        return Visit(visitor=visitor.name, findings=(*findings, *await self._tried(visitor, plan)))

    async def _foreign(
        self, transaction: Transaction, visitor: Visitor, plan: _Plan, refused: AbstractSet[str] = frozenset()
    ) -> list[Finding]:
        findings = []
        for place in plan.places[visitor.role]:
            looked = await look_for_foreign(transaction, visitor, place, plan.ranges.chosen)
            if looked.finding is not None:
                findings.append(looked.finding)
            if looked.untold and place.name not in refused:
                self._unsearched[looked.untold] = None
        return findings + list(await look_by_functions(transaction, visitor, plan.others))

    async def _tried(self, visitor: Visitor, plan: _Plan) -> Sequence[Finding]:
        if not self._writes:
            return ()
        async with self._database.rehearsal() as transaction:
            tried = await try_to_write(transaction, visitor, plan.others)
        self._unsearched.update(dict.fromkeys(tried.untold))
        return tried.findings

    async def _suspects(self, findings: Iterable[Finding]) -> tuple[Suspect, ...]:
        places = dict.fromkeys(finding.place for finding in findings if finding.wrong not in _OF_THE_DATA)
        if not places:
            return ()
        async with self._database.snapshot() as transaction:
            return await suspects(transaction, list(places))


_OF_THE_DATA: Final = frozenset({Wrong.MISOWNED, Wrong.MISSING})

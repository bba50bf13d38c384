"""Why somebody sees what they see at a place: policies that are not ours, security that is off, and the like."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from chatstore.supabase.as_user.catalog import MESSAGES, SESSIONS
from chatstore.supabase.as_user.report import Suspect
from chatstore.supabase.as_user.visitor import ANON, AUTHENTICATED
from chatstore.supabase.database import Transaction
from chatstore.supabase.schema import schema_sql

_RELATION: Final = """
select
  c.relkind in ('v', 'm'),
  c.relrowsecurity,
  exists (
    select from pg_catalog.pg_options_to_table(c.reloptions) o
    where o.option_name = 'security_invoker' and o.option_value::boolean
  ),
  coalesce(has_table_privilege(to_regrole(%s)::oid, c.oid, 'select'), false),
  coalesce(has_table_privilege(to_regrole(%s)::oid, c.oid, 'select'), false)
from pg_catalog.pg_class c
where c.oid = to_regclass(%s)
"""
_POLICIES: Final = """
select
  p.polname,
  p.polpermissive,
  p.polcmd::text,
  coalesce((select string_agg(r.rolname, ', ') from pg_catalog.pg_roles r where r.oid = any (p.polroles)), 'public')
from pg_catalog.pg_policy p
where p.polrelid = to_regclass(%s)
order by p.polname
"""
_PASSING: Final = """
select r.rolname from pg_catalog.pg_roles r where r.rolname in (%s, %s) and (r.rolbypassrls or r.rolsuper)
"""
_FUNCTION: Final = "select p.prosecdef from pg_catalog.pg_proc p where p.oid = to_regprocedure(%s)"

_OUR_POLICY: Final = re.compile(r'create policy "([^"]+)" on (\S+)')
_COMMANDS: Final = {"*": "all", "r": "select", "a": "insert", "w": "update", "d": "delete"}
_CALL: Final = "()"
_ANEW: Final = "chatstore schema --apply makes it anew"


# What the functions that an app calls read and write.
_BELOW_FUNCTIONS: Final = (
    SESSIONS,
    MESSAGES,
    "chatstore.session_states",
    "chatstore.tombstones",
    "chatstore.marks",
    "chatstore.migration",
)


async def suspects(transaction: Transaction, places: Sequence[str]) -> tuple[Suspect, ...]:
    """Return what decides who sees what at these places, as far as it is not as chatstore made it."""
    found = {place: [*await _reasons(transaction, place)] for place in places}
    if any(place.endswith(_CALL) for place in places):
        for table in _BELOW_FUNCTIONS:
            reasons = found.get(table) or [*await _reasons(transaction, table)]
            if reasons:
                found[table] = reasons
    by_name_only = "{} has policies of chatstore's names, but maybe others' text: " + _ANEW
    return tuple(
        Suspect(place=place, reasons=tuple(reasons) or (by_name_only.format(place),))
        for place, reasons in found.items()
    )


async def _reasons(transaction: Transaction, place: str) -> Sequence[str]:
    if place.endswith(_CALL):
        return (await _of_function(transaction, place),)
    [(is_view, secured, as_reader, by_anon, by_users)] = await transaction.rows(_RELATION, ANON, AUTHENTICATED, place)
    if is_view:
        return (_of_view(place, as_reader=as_reader),)
    return [
        *_of_rights(place, secured=secured, by_anon=by_anon, by_users=by_users),
        *_of_policies(place, await transaction.rows(_POLICIES, place)),
        *(
            f"the role {role} passes row-level security: alter role {role} nobypassrls"
            for (role,) in await transaction.rows(_PASSING, ANON, AUTHENTICATED)
        ),
    ]


def _of_view(place: str, *, as_reader: bool) -> str:
    if as_reader:
        return f"{place} is a view that reads with its reader's rights: look at the tables below it"
    return (
        f"{place} is a view that reads with its owner's rights, past row-level security: alter view {place} set "
        "(security_invoker = true); or revoke select on it, which is the only way for a materialized view"
    )


def _of_rights(place: str, *, secured: bool, by_anon: bool, by_users: bool) -> Iterator[str]:
    if not secured:
        yield f"row-level security is off on {place}: chatstore schema --apply turns it on"
    if by_anon:
        yield f"the role {ANON} may select from {place}: chatstore schema --apply revokes that"
    if place.startswith("public.") and not by_users:
        yield f"the role {AUTHENTICATED} may not select from {place}: chatstore schema --apply grants that"


def _of_policies(place: str, policies: Sequence[tuple[Any, ...]]) -> Iterator[str]:
    ours = {name for name, table in _OUR_POLICY.findall(schema_sql()) if table == place}
    for name, permissive, command, roles in policies:
        if name not in ours:
            does = "shows what it allows beside chatstore's" if permissive else "hides what it does not allow"
            yield f'{place} has a policy not of chatstore, "{name}" ({_COMMANDS[command]}, to {roles}): it {does}'
    for name in sorted(ours - {name for name, *_ in policies}):
        yield f'{place} lacks the policy "{name}": chatstore schema --apply makes it'


async def _of_function(transaction: Transaction, place: str) -> str:
    rows = await transaction.rows(_FUNCTION, f"{place.removesuffix(_CALL)}(text)")
    if rows and rows[0][0]:
        return f"{place} is `security definer`, so it passes row-level security: {_ANEW}"
    return (
        f"{place} reads with its caller's rights: look at the tables first; if it is not they, it or who may call it "
        f"is not as chatstore made it: {_ANEW}"
    )

"""Why somebody sees what they see at a place: policies that are not ours, security that is off, and the like."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from chatstore.supabase.as_user.report import Suspect
from chatstore.supabase.as_user.visitor import ANON, AUTHENTICATED
from chatstore.supabase.database import Snapshot
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
_ANEW: Final = "chatstore schema --apply makes it anew"


async def suspect(snapshot: Snapshot, place: str) -> Suspect:
    """Return what decides who sees what at a place, as far as it is not as chatstore made it."""
    if place.endswith("()"):
        return Suspect(place=place, reasons=(await _of_function(snapshot, place),))
    [(is_view, secured, as_reader, by_anon, by_users)] = await snapshot.rows(_RELATION, ANON, AUTHENTICATED, place)
    if is_view:
        return Suspect(place=place, reasons=(_of_view(place, as_reader=as_reader),))
    reasons = [*_of_rights(place, secured=secured, by_anon=by_anon, by_users=by_users)]
    reasons += _of_policies(place, await snapshot.rows(_POLICIES, place))
    reasons += [
        f"the role {role} passes row-level security: alter role {role} nobypassrls"
        for (role,) in await snapshot.rows(_PASSING, ANON, AUTHENTICATED)
    ]
    return Suspect(
        place=place,
        reasons=tuple(reasons) or (f"{place} has policies of chatstore's names, but maybe others' text: {_ANEW}",),
    )


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


async def _of_function(snapshot: Snapshot, place: str) -> str:
    rows = await snapshot.rows(_FUNCTION, f"{place.removesuffix('()')}(text)")
    if rows and rows[0][0]:
        return f"{place} is `security definer`, so it passes row-level security: {_ANEW}"
    return (
        f"{place} reads with its caller's rights: look at the tables first; if it is not they, it or who may call it "
        f"is not as chatstore made it: {_ANEW}"
    )

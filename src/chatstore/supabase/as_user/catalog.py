"""Where chats can be read in a database, and by which role: our tables, and the views that others made on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chatstore.errors import ConfigurationError, SchemaError
from chatstore.supabase.as_user.visitor import ANON, AUTHENTICATED
from chatstore.supabase.database import Transaction

SESSIONS: Final = "public.sessions"
MESSAGES: Final = "public.messages"

_OWNER: Final = "user_id"
_SESSION: Final = "session_id"
# Where the column with a session's id has another name.
_SESSION_COLUMNS: Final = {SESSIONS: "id", "chatstore.marks": "key"}
# Which of our tables have an index that begins with the session's id.
_IN_ORDER: Final = frozenset(
    {SESSIONS, MESSAGES, "chatstore.session_states", "chatstore.tombstones", "chatstore.copied"}
)

_PLACES: Final = """
with recursive ours (oid) as (
  select c.oid
  from pg_catalog.pg_class c
  where c.oid in (to_regclass('public.sessions'), to_regclass('public.messages'))
    or (c.relnamespace = to_regnamespace('chatstore') and c.relkind in ('r', 'p') and c.relname <> 'migration')
  union
  select r.ev_class
  from ours
  join pg_catalog.pg_depend d on d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = ours.oid
    and d.classid = 'pg_catalog.pg_rewrite'::regclass
  join pg_catalog.pg_rewrite r on r.oid = d.objid
)
select
  format('%%I.%%I', n.nspname, c.relname),
  role.rolname,
  (
    select array_agg(a.attname::text order by a.attnum)
    from pg_catalog.pg_attribute a
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      and has_column_privilege(role.oid, c.oid, a.attnum, 'select')
  )
from ours
join pg_catalog.pg_class c on c.oid = ours.oid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
cross join pg_catalog.pg_roles role
where role.rolname in (%s, %s) and has_schema_privilege(role.oid, n.oid, 'usage')
order by n.nspname = 'public' desc, 1
"""

_RIGHTS: Final = """
select
  count(*) filter (where pg_has_role(current_user, r.oid, 'member')),
  not row_security_active('public.sessions') and not row_security_active('public.messages'),
  current_user
from pg_catalog.pg_roles r
where r.rolname in (%s, %s)
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A table or a view in which rows of chats can be seen.

    Attributes:
        name: With its schema, quoted where it must be.
        owner: The column that says whose a row is; None where the role may not read one, or there is none.
        session: The column that says of which session a row is; None likewise.
        in_order: Whether an index leads from the sessions' ids to its rows.
    """

    name: str
    owner: str | None
    session: str | None
    in_order: bool


async def check_rights(transaction: Transaction) -> None:
    """Check that the role of the URL sees everything, and can act as the roles of requests.

    Raises:
        ConfigurationError: It cannot.
        SchemaError: There are no such roles.
    """
    [(members, sees_all, name)] = await transaction.rows(_RIGHTS, ANON, AUTHENTICATED)
    if not sees_all:
        raise ConfigurationError(
            f"row-level security holds for the role {name!r} of SUPABASE_DB_URL, so what it hides cannot be told: "
            "use the role `postgres`"
        )
    if members < len((ANON, AUTHENTICATED)):
        roles = await transaction.rows("select from pg_catalog.pg_roles where rolname in (%s, %s)", ANON, AUTHENTICATED)
        if len(roles) < len((ANON, AUTHENTICATED)):
            raise SchemaError("the database has no roles `anon` and `authenticated`: is it Supabase's?")
        raise ConfigurationError(
            f"the role {name!r} of SUPABASE_DB_URL may not act as `anon` and `authenticated`, as requests of the app's "
            "users do: use the role `postgres`"
        )


async def places(transaction: Transaction) -> Mapping[str, Sequence[Place]]:
    """Return by role what it may read of our tables and of the views on them."""
    found: dict[str, list[Place]] = {ANON: [], AUTHENTICATED: []}
    for name, role, columns in await transaction.rows(_PLACES, ANON, AUTHENTICATED):
        if columns:
            session = _SESSION_COLUMNS.get(name, _SESSION)
            found[role].append(
                Place(
                    name,
                    _OWNER if _OWNER in columns else None,
                    session if session in columns else None,
                    name in _IN_ORDER,
                )
            )
    return found

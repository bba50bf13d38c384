-- The schema that no app user's request can name: it is not among those that the API exposes.

create schema if not exists chatstore;
revoke all on schema chatstore from public;
grant usage on schema chatstore to authenticated, service_role;

-- A store asks for this before its first call. It grows with every change of this schema that a client must know of.
create or replace function public.chatstore_version() returns integer
language sql immutable parallel safe set search_path = ''
return 3;

-- The next version of a record on the new side: greater than the last, not before the clock, and odd.
create or replace function chatstore.next_version(last bigint) returns bigint
language sql volatile set search_path = ''
return greatest(last + 1, (extract(epoch from clock_timestamp()) * 1000000)::bigint) | 1;

-- Whether somebody holds this advisory lock in this database: so a client that has taken it by another way in knows that
-- both ways lead to the same one.
create or replace function public.chatstore_is_locked(request text) returns text
language sql volatile set search_path = ''
return (
  select json_build_object('locked', count(*) > 0)::text
  from pg_catalog.pg_locks l
  where l.locktype = 'advisory'
    and l.granted
    and l.objsubid = 1
    and l.classid::bigint = (request::jsonb ->> 'key')::bigint >> 32
    and l.objid::bigint = (request::jsonb ->> 'key')::bigint & 4294967295
    and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
);

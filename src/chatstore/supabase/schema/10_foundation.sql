-- The schema that no app user's request can name: it is not among those that the API exposes.

-- Where these tables are there already, and apps at work on them: all are locked at once, in the order in which a write
-- takes them. Who takes them in another order, as reads do, may wait for us while we wait for him; so we give way before
-- Postgres looks for deadlocks (a second), and no app's call is ended by this. Run it again then.
do $$
declare
  ours regclass;
begin
  perform set_config('lock_timeout', '800ms', true);
  foreach ours in array array[
    to_regclass('chatstore.session_states'), to_regclass('public.sessions'), to_regclass('chatstore.tombstones'),
    to_regclass('public.messages'), to_regclass('chatstore.copied'), to_regclass('chatstore.marks'),
    to_regclass('chatstore.migration')
  ] loop
    if ours is not null then
      execute format('lock table %s', ours);
    end if;
  end loop;
end;
$$;

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

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

-- Sessions and messages. Ids sort by code point on both sides, hence the collation. Times stay in the years that clients
-- can hold.

create table if not exists public.sessions (
  id text collate "C" primary key,
  user_id text collate "C" not null,
  title text not null default '',
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  expires_at timestamptz,
  version bigint not null default chatstore.next_version(0),
  born bigint not null default chatstore.next_version(0),
  extra jsonb not null default '{}',
  check (created_at >= '0001-01-01 00:00+00' and created_at < '10000-01-01 00:00+00'),
  check (updated_at >= '0001-01-01 00:00+00' and updated_at < '10000-01-01 00:00+00'),
  check (expires_at >= '0001-01-01 00:00+00' and expires_at < '10000-01-01 00:00+00'),
  check (jsonb_typeof(metadata) = 'object' and jsonb_typeof(extra) = 'object')
);

create index if not exists sessions_by_recency on public.sessions (user_id, updated_at desc, id desc);

create table if not exists public.messages (
  session_id text collate "C" not null references public.sessions (id) on delete cascade,
  id text collate "C" not null,
  user_id text collate "C" not null,
  position bigint not null,
  role text not null,
  content text not null,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  version bigint not null default chatstore.next_version(0),
  extra jsonb not null default '{}',
  check (created_at >= '0001-01-01 00:00+00' and created_at < '10000-01-01 00:00+00'),
  check (jsonb_typeof(metadata) = 'object' and jsonb_typeof(extra) = 'object'),
  primary key (session_id, id)
);

-- Not among the columns above, so that it is also added where an older version of this schema was applied.
alter table public.messages add column if not exists expires_at timestamptz
  check (expires_at >= '0001-01-01 00:00+00' and expires_at < '10000-01-01 00:00+00');

create index if not exists messages_in_order on public.messages (session_id, position, id);

-- What the policy of the table asks: without it, whoever reads the table itself as a user reads all of it.
create index if not exists messages_by_user on public.messages (user_id);

-- What a sweep looks for. Where nothing expires they take no room.
create index if not exists sessions_by_expiry on public.sessions (expires_at) where expires_at is not null;
create index if not exists messages_by_expiry on public.messages (expires_at) where expires_at is not null;

-- What outlives a session: its greatest version, its deletions, the end of lives that expired (`lapsed` is more than the
-- `born` of each that is held no more), and the row that serialises the writes to it.
create table if not exists chatstore.session_states (
  session_id text collate "C" primary key,
  user_id text collate "C" not null,
  last bigint not null default 0,
  deleted bigint not null default 0,
  cleared bigint not null default 0
);

alter table chatstore.session_states add column if not exists lapsed bigint not null default 0;

create table if not exists chatstore.tombstones (
  session_id text collate "C" not null references chatstore.session_states (session_id),
  id text collate "C" not null,
  version bigint not null,
  primary key (session_id, id)
);

-- What was put of a session that the other side has a fingerprint of: the digest of what is then held, unless something
-- newer was here already or came since. It goes with the session.
create table if not exists chatstore.copied (
  session_id text collate "C" primary key references public.sessions (id) on delete cascade,
  fingerprint text not null,
  digest bytea not null,
  messages integer not null
);

-- The journal of the new side, and what is remembered of the migration beside it.

create table if not exists chatstore.marks (
  token text collate "C" primary key,
  key text collate "C" not null,
  user_id text collate "C" not null,
  side text not null check (side in ('old', 'new')),
  op text not null,
  message_ids jsonb,
  at timestamptz not null,
  lease_until timestamptz,
  while_open boolean not null default false
);

create index if not exists marks_by_age on chatstore.marks (at, token);
create index if not exists marks_by_key on chatstore.marks (user_id, key);

create table if not exists chatstore.migration (
  only_one boolean primary key default true check (only_one),
  journal_open boolean not null default false,
  backfilled_at timestamptz,
  verified_at timestamptz,
  differed_at timestamptz,
  stage text,
  way_back_closed boolean not null default false
);

-- Whoever comes with a user's token sees and changes that user's rows only, also from inside chatstore's functions,
-- which run with the rights of their caller. The service key passes all of this: it is for the migration.

alter table public.sessions enable row level security;
alter table public.messages enable row level security;
alter table chatstore.session_states enable row level security;
alter table chatstore.tombstones enable row level security;
alter table chatstore.copied enable row level security;
alter table chatstore.marks enable row level security;
alter table chatstore.migration enable row level security;

-- Users may change what their app changes in their name, and no more: never whose a row is, not even where an app adds a
-- policy of its own that would let them.
revoke all on public.sessions, public.messages from public, anon, authenticated, service_role;
grant select, insert, update, delete on public.sessions, public.messages to service_role;
grant select, insert, delete on public.sessions, public.messages to authenticated;
grant update (title, metadata, updated_at, version) on public.sessions to authenticated;
grant update (content, metadata, version) on public.messages to authenticated;
revoke all on all tables in schema chatstore from public, anon, authenticated, service_role;
grant select, insert, update, delete on all tables in schema chatstore to service_role;
grant select, insert on chatstore.session_states to authenticated;
grant update (last, deleted, cleared) on chatstore.session_states to authenticated;
grant select, insert, delete on chatstore.tombstones to authenticated;
grant insert on chatstore.marks to authenticated;
grant select (journal_open) on chatstore.migration to authenticated;

drop policy if exists "A user's own sessions" on public.sessions;
create policy "A user's own sessions" on public.sessions
  for all to authenticated
  using (((select auth.jwt()) ->> 'sub') = user_id)
  with check (((select auth.jwt()) ->> 'sub') = user_id);

-- The session is asked for as well: else a user could lay a message of their own into another's session.
drop policy if exists "A user's own messages" on public.messages;
create policy "A user's own messages" on public.messages
  for all to authenticated
  using (((select auth.jwt()) ->> 'sub') = user_id)
  with check (
    ((select auth.jwt()) ->> 'sub') = user_id
    and exists (
      select from public.sessions s
      where s.id = messages.session_id and s.user_id = ((select auth.jwt()) ->> 'sub')
    )
  );

drop policy if exists "A user's own session states" on chatstore.session_states;
create policy "A user's own session states" on chatstore.session_states
  for all to authenticated
  using (((select auth.jwt()) ->> 'sub') = user_id)
  with check (((select auth.jwt()) ->> 'sub') = user_id);

drop policy if exists "A user's own tombstones" on chatstore.tombstones;
create policy "A user's own tombstones" on chatstore.tombstones
  for all to authenticated
  using (
    exists (
      select from chatstore.session_states s
      where s.session_id = tombstones.session_id and s.user_id = ((select auth.jwt()) ->> 'sub')
    )
  )
  with check (
    exists (
      select from chatstore.session_states s
      where s.session_id = tombstones.session_id and s.user_id = ((select auth.jwt()) ->> 'sub')
    )
  );

-- It would be so without a policy as well; but then nobody could tell whether one was forgotten.
drop policy if exists "For the service key only" on chatstore.copied;
create policy "For the service key only" on chatstore.copied
  for all to authenticated
  using (false)
  with check (false);

drop policy if exists "Marks of a user's own writes" on chatstore.marks;
create policy "Marks of a user's own writes" on chatstore.marks
  for insert to authenticated
  with check (((select auth.jwt()) ->> 'sub') = user_id);

drop policy if exists "Whether the journal is open" on chatstore.migration;
create policy "Whether the journal is open" on chatstore.migration
  for select to authenticated
  using (true);

-- What an app reads. Each function takes and gives JSON as text, because a server between Postgres and the client may
-- handle JSON in JavaScript, where a great integer loses its last digits and 1.0 becomes 1. A session that is not the
-- user's, is not there, or has expired, is answered by null; a message that has expired is passed over.
--
-- Messages and lists of sessions are read by the index that has them in their order, and no further than they are wanted.
-- Postgres would read whole sessions and sort them: it takes it for chance that all messages of a session are one user's, as
-- the policy asks of each, and so expects next to none. And what a row is compared with stands in variables: a `coalesce` in
-- the condition could tell of rows, for all that Postgres knows, and would be asked of each only behind the policy.

create or replace function chatstore.is_visible(session_id text, user_id text) returns boolean
language sql stable set search_path = ''
return exists (
  select from public.sessions s
  where s.id = is_visible.session_id
    and s.user_id = is_visible.user_id
    and (s.expires_at is null or s.expires_at > now())
);

create or replace function public.chatstore_session(request text) returns text
language sql stable set search_path = ''
begin atomic
  select row_to_json(s)::text
  from public.sessions s
  where s.id = request::jsonb ->> 'session_id'
    and s.user_id = request::jsonb ->> 'user_id'
    and (s.expires_at is null or s.expires_at > now());
end;

create or replace function public.chatstore_sessions(request text) returns text
language plpgsql stable set search_path = ''
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  wanted jsonb := request::jsonb;
  before timestamptz := coalesce((wanted ->> 'before')::timestamptz, 'infinity');
  before_id text := wanted ->> 'before_id';
begin
  return (
    select coalesce(json_agg(page), '[]')::text
    from (
      select s.*
      from public.sessions s
      where s.user_id = wanted ->> 'user_id'
        and (s.updated_at, s.id) < (before, before_id)
        and (s.expires_at is null or s.expires_at > now())
      order by s.updated_at desc, s.id desc
      limit (wanted ->> 'limit')::integer
    ) page
  );
end;
$$;

-- How many bytes a message takes in an answer, nearly. What is stored compressed is weighed as it will be told: some JSON
-- is a hundred times as long as Postgres stores it.
create or replace function chatstore.weight(message public.messages) returns bigint
language sql immutable set search_path = ''
return octet_length(message.content)
  + case
    when pg_column_compression(message.metadata) is null then pg_column_size(message.metadata)
    else octet_length(message.metadata::text)
  end
  + case
    when pg_column_compression(message.extra) is null then pg_column_size(message.extra)
    else octet_length(message.extra::text)
  end;

-- A page of a session's messages, oldest first: at most `room` of them, and no more once they hold 4 MB.
create or replace function chatstore.page_of_messages(
  session_id text, after_position bigint, after_id text, room integer,
  out messages json, out told integer, out more boolean, out last_position bigint, out last_id text
)
language plpgsql stable set search_path = '' as $$
declare
  behind bigint := coalesce(after_position, -9223372036854775808);
  behind_id text := coalesce(after_id, '');
begin
  select
    coalesce(json_agg(row_to_json(found.message) order by found.place), '[]'),
    count(*),
    coalesce(max(found.found_in_all) > count(*), false),
    (array_agg(found.position order by found.place desc))[1],
    (array_agg(found.id order by found.place desc))[1]
  into messages, told, more, last_position, last_id
  from (
    select
      message, message.position, message.id,
      row_number() over in_order as place,
      count(*) over () as found_in_all,
      sum(chatstore.weight(message)) over in_order - chatstore.weight(message) as weight_before
    from (
      select m.*
      from public.messages m
      where m.session_id = page_of_messages.session_id
        and (m.expires_at is null or m.expires_at > now())
        and (m.position, m.id) > (behind, behind_id)
      order by m.position, m.id
      limit room + 1
    ) message
    window in_order as (order by message.position, message.id)
  ) found
  where found.place <= room and found.weight_before < 4000000;
end;
$$;

create or replace function public.chatstore_messages(request text) returns text
language plpgsql stable set search_path = ''
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  wanted jsonb := request::jsonb;
begin
  if not chatstore.is_visible(wanted ->> 'session_id', wanted ->> 'user_id') then
    return null;
  end if;
  return (
    select json_build_object('messages', page.messages, 'more', page.more)::text
    from chatstore.page_of_messages(
      wanted ->> 'session_id', (wanted ->> 'after')::bigint, wanted ->> 'after_id', (wanted ->> 'limit')::integer
    ) page
  );
end;
$$;

-- As a page of messages, but the last ones; still oldest first.
create or replace function public.chatstore_last_messages(request text) returns text
language plpgsql stable set search_path = ''
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  wanted jsonb := request::jsonb;
  room integer := wanted ->> 'limit';
  before bigint := coalesce((wanted ->> 'before')::bigint, 9223372036854775807);
  before_id text := coalesce(wanted ->> 'before_id', '');
begin
  if not chatstore.is_visible(wanted ->> 'session_id', wanted ->> 'user_id') then
    return null;
  end if;
  return (
    select json_build_object(
      'messages', coalesce(json_agg(row_to_json(found.message) order by found.place desc), '[]'),
      'more', coalesce(max(found.found_in_all) > count(*), false)
    )::text
    from (
      select
        message,
        row_number() over from_the_end as place,
        count(*) over () as found_in_all,
        sum(chatstore.weight(message)) over from_the_end - chatstore.weight(message) as weight_behind
      from (
        select m.*
        from public.messages m
        where m.session_id = wanted ->> 'session_id'
          and (m.expires_at is null or m.expires_at > now())
          and (m.position, m.id) < (before, before_id)
        order by m.position desc, m.id desc
        limit room + 1
      ) message
      window from_the_end as (order by message.position desc, message.id desc)
    ) found
    where found.place <= room and found.weight_behind < 4000000
  );
end;
$$;

create or replace function public.chatstore_count_messages(request text) returns text
language plpgsql stable set search_path = ''
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  wanted jsonb := request::jsonb;
begin
  if not chatstore.is_visible(wanted ->> 'session_id', wanted ->> 'user_id') then
    return null;
  end if;
  return (
    select count(*)
    from public.messages m
    where m.session_id = wanted ->> 'session_id' and (m.expires_at is null or m.expires_at > now())
  )::text;
end;
$$;

-- What an app may ask for, one function a command. Each runs inside `chatstore_write`, with the rights of its caller,
-- and returns the messages that the command concerns and the version that it gave; no version means that it found
-- nothing to change. The row of `session_states`, locked first, serialises all writes to a session.
-- SQLSTATE PT404 and PT409 are PostgREST's way to answer with that HTTP status: not found, and a conflict. The detail
-- is the id. What has expired is as if it were not there.

create or replace function chatstore.lock_state(session_id text, user_id text) returns chatstore.session_states
language plpgsql volatile set search_path = '' as $$
declare
  state chatstore.session_states;
begin
  select * into state from chatstore.session_states s where s.session_id = lock_state.session_id for update;
  if not found then
    -- New, or written by something else than chatstore: then its versions must still grow from where they are.
    insert into chatstore.session_states (session_id, user_id, last)
    values (lock_state.session_id, lock_state.user_id, chatstore.greatest_version(lock_state.session_id))
    on conflict do nothing;
    select * into state from chatstore.session_states s where s.session_id = lock_state.session_id for update;
  end if;
  return state;
end;
$$;

create or replace function chatstore.greatest_version(session_id text) returns bigint
language sql stable set search_path = ''
return greatest(
  0,
  (select s.version from public.sessions s where s.id = greatest_version.session_id),
  (select max(m.version) from public.messages m where m.session_id = greatest_version.session_id)
);

create or replace function chatstore.open_session(command jsonb) returns chatstore.session_states
language plpgsql volatile set search_path = '' as $$
declare
  state chatstore.session_states := chatstore.lock_state(command ->> 'session_id', command ->> 'user_id');
begin
  if not chatstore.is_visible(command ->> 'session_id', command ->> 'user_id') then
    raise exception 'there is no such session of this user'
      using errcode = 'PT404', detail = command ->> 'session_id';
  end if;
  return state;
end;
$$;

create or replace function chatstore.close_session(command jsonb, version bigint) returns void
language sql volatile set search_path = ''
begin atomic
  update public.sessions s
  set updated_at = greatest(s.updated_at, (command ->> 'at')::timestamptz)
  where s.id = command ->> 'session_id';
  update chatstore.session_states s set last = close_session.version where s.session_id = command ->> 'session_id';
end;

-- Writes a session's deletion down, and returns its version. What belongs to the life that it ends needs no tombstone.
create or replace function chatstore.end_life(state chatstore.session_states) returns bigint
language plpgsql volatile set search_path = '' as $$
declare
  stamp bigint := chatstore.next_version(state.last);
begin
  update chatstore.session_states s
  set last = stamp, deleted = stamp, cleared = stamp
  where s.session_id = state.session_id;
  delete from chatstore.tombstones t where t.session_id = state.session_id;
  return stamp;
end;
$$;

create or replace function chatstore.create_session(command jsonb) returns jsonb
language plpgsql volatile set search_path = '' as $$
declare
  name text := command ->> 'session_id';
  state chatstore.session_states := chatstore.lock_state(name, command ->> 'user_id');
  held public.sessions;
  stamp bigint;
begin
  select * into held from public.sessions s where s.id = name;
  if held.expires_at <= now() or (held.id is null and state.lapsed > state.deleted) then
    -- A deletion that is written down only now.
    state.last := chatstore.end_life(state);
    delete from public.sessions s where s.id = name;
  elsif held.id is not null and (held.user_id, held.title, held.metadata) = (
    command ->> 'user_id', command ->> 'title', command -> 'metadata'
  ) then
    return '{}';
  elsif held.id is not null or state.session_id is null then
    raise exception 'the session id is taken' using errcode = 'PT409', detail = name;
  end if;
  stamp := chatstore.next_version(state.last);
  insert into public.sessions (id, user_id, title, metadata, created_at, updated_at, expires_at, version, born, extra)
  select
    name, new.user_id, new.title, new.metadata, new.at, new.at, new.expires_at, stamp, stamp, new.extra
  from jsonb_to_record(command) as new (
    user_id text, title text, metadata jsonb, at timestamptz, expires_at timestamptz, extra jsonb
  );
  update chatstore.session_states s set last = stamp where s.session_id = name;
  -- A state that a user sees is theirs, and whose it is they may not change.
  if state.user_id <> command ->> 'user_id' then
    update chatstore.session_states s set user_id = command ->> 'user_id' where s.session_id = name;
  end if;
  return jsonb_build_object('version', stamp);
end;
$$;

create or replace function chatstore.update_session(command jsonb) returns jsonb
language plpgsql volatile set search_path = '' as $$
declare
  state chatstore.session_states := chatstore.open_session(command);
  stamp bigint := chatstore.next_version(state.last);
begin
  update public.sessions s
  set
    title = coalesce(command ->> 'title', s.title),
    metadata = coalesce(command -> 'metadata', s.metadata),
    version = stamp
  where s.id = state.session_id;
  perform chatstore.close_session(command, stamp);
  return jsonb_build_object('version', stamp);
end;
$$;

create or replace function chatstore.delete_session(command jsonb) returns jsonb
language plpgsql volatile set search_path = '' as $$
declare
  name text := command ->> 'session_id';
  state chatstore.session_states;
begin
  if not chatstore.is_visible(name, command ->> 'user_id') then
    return '{}';
  end if;
  state := chatstore.lock_state(name, command ->> 'user_id');
  delete from public.sessions s where s.id = name and s.user_id = command ->> 'user_id';
  if not found then
    return '{}';
  end if;
  return jsonb_build_object('version', chatstore.end_life(state));
end;
$$;

create or replace function chatstore.append_messages(command jsonb) returns jsonb
language plpgsql volatile set search_path = '' as $$
declare
  state chatstore.session_states := chatstore.open_session(command);
  replacing boolean := (command ->> 'replace')::boolean;
  stamp bigint := chatstore.next_version(state.last);
  -- Where these stand in a condition, only what they name is looked at, and not all of a session.
  ids text[] := array(select new.id from jsonb_to_recordset(command -> 'messages') as new (id text));
  held text[];
  last_position bigint;
  clash text;
begin
  select t.id into clash from chatstore.tombstones t where t.session_id = state.session_id and t.id = any (ids) limit 1;
  if clash is not null then
    raise exception 'the message was deleted from this session: append it under a new id'
      using errcode = 'PT409', detail = clash;
  end if;

  select m.id into clash
  from public.messages m
  join jsonb_to_recordset(command -> 'messages') as new (id text, role text, content text) on new.id = m.id
  where m.session_id = state.session_id and m.id = any (ids)
    and (replacing or (m.role, m.content) <> (new.role, new.content))
    and (m.expires_at is null or m.expires_at > now())
  limit 1;
  if clash is not null then
    raise exception 'the message id is taken in this session' using errcode = 'PT409', detail = clash;
  end if;

  if replacing then
    delete from public.messages m where m.session_id = state.session_id;
    update chatstore.session_states s set cleared = stamp where s.session_id = state.session_id;
  end if;
  -- Before the ids are free again: a place that was given is not given once more.
  select coalesce(max(m.position), -1) into last_position
  from public.messages m
  where m.session_id = state.session_id;
  delete from public.messages m
  where m.session_id = state.session_id and m.id = any (ids) and m.expires_at <= now();
  held := array(select m.id from public.messages m where m.session_id = state.session_id and m.id = any (ids));
  insert into public.messages (
    session_id, id, user_id, position, role, content, metadata, created_at, expires_at, version, extra
  )
  select
    state.session_id, new.id, command ->> 'user_id', last_position + row_number() over (order by new.place),
    new.role, new.content, new.metadata, new.created_at, new.expires_at, stamp, new.extra
  from rows from (
    jsonb_to_recordset(command -> 'messages') as (
      id text, role text, content text, metadata jsonb, created_at timestamptz, expires_at timestamptz, extra jsonb
    )
  ) with ordinality as new (id, role, content, metadata, created_at, expires_at, extra, place)
  where new.id <> all (held);
  if found or replacing then
    perform chatstore.close_session(command, stamp);
  else
    stamp := null;
  end if;
  return jsonb_build_object(
    'version', stamp,
    'messages', (
      select coalesce(jsonb_agg(to_jsonb(m) order by new.place), '[]')
      from public.messages m
      join unnest(ids) with ordinality as new (id, place) on new.id = m.id
      where m.session_id = state.session_id and m.id = any (ids)
    )
  );
end;
$$;

create or replace function chatstore.edit_message(command jsonb) returns jsonb
language plpgsql volatile set search_path = '' as $$
declare
  state chatstore.session_states := chatstore.open_session(command);
  stamp bigint := chatstore.next_version(state.last);
  edited public.messages;
begin
  update public.messages m
  set
    content = coalesce(command ->> 'content', m.content),
    metadata = coalesce(command -> 'metadata', m.metadata),
    version = stamp
  where m.session_id = state.session_id and m.id = command ->> 'message_id'
    and (m.expires_at is null or m.expires_at > now())
  returning m.* into edited;
  if not found then
    raise exception 'the session has no such message' using errcode = 'PT404', detail = command ->> 'message_id';
  end if;
  perform chatstore.close_session(command, stamp);
  return jsonb_build_object('version', stamp, 'messages', jsonb_build_array(to_jsonb(edited)));
end;
$$;

-- Deletes the messages of the given ids, or the last one when no ids are given.
create or replace function chatstore.remove_messages(command jsonb) returns jsonb
language plpgsql volatile set search_path = '' as $$
declare
  state chatstore.session_states := chatstore.open_session(command);
  stamp bigint := chatstore.next_version(state.last);
  ids text[];
  removed jsonb;
begin
  if command ? 'message_ids' then
    ids := array(select jsonb_array_elements_text(command -> 'message_ids'));
  else
    ids := array(
      select m.id from public.messages m
      where m.session_id = state.session_id and (m.expires_at is null or m.expires_at > now())
      order by m.position desc, m.id desc
      limit 1
    );
  end if;
  with gone as (
    delete from public.messages m
    where m.session_id = state.session_id and m.id = any (ids) and (m.expires_at is null or m.expires_at > now())
    returning m.*
  )
  select jsonb_agg(to_jsonb(gone) order by gone.position, gone.id) into removed from gone;
  if removed is null then
    return '{}';
  end if;
  insert into chatstore.tombstones (session_id, id, version)
  select state.session_id, gone.id, stamp
  from jsonb_to_recordset(removed) as gone (id text)
  on conflict do nothing;
  perform chatstore.close_session(command, stamp);
  return jsonb_build_object('version', stamp, 'messages', removed);
end;
$$;

create or replace function chatstore.clear_messages(command jsonb) returns jsonb
language plpgsql volatile set search_path = '' as $$
declare
  state chatstore.session_states := chatstore.open_session(command);
  stamp bigint := chatstore.next_version(state.last);
begin
  delete from public.messages m where m.session_id = state.session_id;
  update chatstore.session_states s set cleared = stamp where s.session_id = state.session_id;
  perform chatstore.close_session(command, stamp);
  return jsonb_build_object('version', stamp);
end;
$$;

-- Executes a command and sets its mark, in one transaction; tells what the other side must know. It finds its rows as reads
-- do, by their order.
create or replace function public.chatstore_write(request text) returns text
language plpgsql volatile set search_path = ''
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  command jsonb := request::jsonb;
  done jsonb;
begin
  done := case command ->> 'op'
    when 'create' then chatstore.create_session(command)
    when 'update' then chatstore.update_session(command)
    when 'delete' then chatstore.delete_session(command)
    when 'append' then chatstore.append_messages(command)
    when 'edit' then chatstore.edit_message(command)
    when 'pop' then chatstore.remove_messages(command)
    when 'delete_messages' then chatstore.remove_messages(command)
    when 'clear' then chatstore.clear_messages(command)
  end;
  if done ->> 'version' is not null and command ? 'mark' then
    perform chatstore.add_marks(jsonb_build_array(command -> 'mark'));
  end if;
  return (
    select jsonb_build_object(
      'version', done -> 'version',
      'messages', coalesce(done -> 'messages', '[]'),
      'deleted', coalesce(state.deleted, 0),
      'cleared', coalesce(state.cleared, 0),
      'session', to_jsonb(s)
    )::text
    from (values (command ->> 'session_id')) as asked (id)
    left join chatstore.session_states state on state.session_id = asked.id
    left join public.sessions s on s.id = asked.id and s.user_id = command ->> 'user_id'
  );
end;
$$;

-- What one side hands to the other. For the service key only.
--
-- Many records travel as columns: for each field a list of the values of all, and where none has a value, null. That is
-- parsed several times as fast as a list of records, here and there. What belongs to a session says which: `of` is its
-- place in the lists of the sessions, from 1 on. Metadata and extras that are empty are null.
--
-- These functions take each record by its index, whatever Postgres knows of the tables: a connection keeps the plan that
-- was best when they were empty, and in the minutes until they are analyzed they may grow to millions of rows.
--
-- A function whose request or answer changes gets another name, and the one before is dropped: a process of an older
-- release goes on calling that one, and must be told that it is gone, not be answered as if it had been understood.
drop function if exists public.chatstore_put(text), public.chatstore_states(text);

-- Joins states into this side: of each record the newer version stays, and what was deleted stays deleted. What has
-- expired here is as if it were not there: the same version with a later expiry takes its place. A session comes once,
-- with the newest of what is handed over; likewise each message and each tombstone.
create or replace function public.chatstore_put_columns(request text) returns text
language plpgsql volatile set search_path = ''
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  -- The sessions. What has no title is no header: only a deletion.
  s_ids text[]; s_users text[]; s_last bigint[]; s_deleted bigint[]; s_cleared bigint[];
  s_titles text[]; s_metadata jsonb[]; s_created timestamptz[]; s_updated timestamptz[]; s_expires timestamptz[];
  s_versions bigint[]; s_born bigint[]; s_extra jsonb[]; s_fingerprints text[];
  -- Their messages and tombstones.
  m_of integer[]; m_ids text[]; m_positions bigint[]; m_roles text[]; m_contents text[]; m_metadata jsonb[];
  m_created timestamptz[]; m_expires timestamptz[]; m_versions bigint[]; m_extra jsonb[];
  t_of integer[]; t_ids text[]; t_versions bigint[];
  -- What becomes of them, in the same places.
  arrives boolean[]; known boolean[]; clears bigint[];
  swept text[]; gone text[]; lapsing text[];
  taken text;
  buried boolean;
begin
  select
    given.s_ids, given.s_users, given.s_last, given.s_deleted, given.s_cleared,
    given.s_titles, given.s_metadata, given.s_created, given.s_updated, given.s_expires,
    given.s_versions, given.s_born, given.s_extra, given.s_fingerprints,
    given.m_of, given.m_ids, given.m_positions, given.m_roles, given.m_contents, given.m_metadata,
    given.m_created, given.m_expires, given.m_versions, given.m_extra,
    given.t_of, given.t_ids, given.t_versions
  into
    s_ids, s_users, s_last, s_deleted, s_cleared,
    s_titles, s_metadata, s_created, s_updated, s_expires,
    s_versions, s_born, s_extra, s_fingerprints,
    m_of, m_ids, m_positions, m_roles, m_contents, m_metadata,
    m_created, m_expires, m_versions, m_extra,
    t_of, t_ids, t_versions
  from jsonb_to_record(request::jsonb) as given (
    s_ids text[], s_users text[], s_last bigint[], s_deleted bigint[], s_cleared bigint[],
    s_titles text[], s_metadata jsonb[], s_created timestamptz[], s_updated timestamptz[], s_expires timestamptz[],
    s_versions bigint[], s_born bigint[], s_extra jsonb[], s_fingerprints text[],
    m_of integer[], m_ids text[], m_positions bigint[], m_roles text[], m_contents text[], m_metadata jsonb[],
    m_created timestamptz[], m_expires timestamptz[], m_versions bigint[], m_extra jsonb[],
    t_of integer[], t_ids text[], t_versions bigint[]
  );
  if s_ids is null then
    raise exception 'this is no request of this version of chatstore' using errcode = '42883';
  end if;

  -- In the order of their ids, so that of two that meet on several sessions one waits, and neither for the other.
  insert into chatstore.session_states (session_id, user_id, last)
  select
    new.id, new.user_id,
    case
      when exists (select from public.sessions s where s.id = new.id)
      then greatest(new.last, chatstore.greatest_version(new.id))
      else new.last
    end
  from unnest(s_ids, s_users, s_last) as new (id, user_id, last)
  where not exists (select from chatstore.session_states state where state.session_id = new.id)
  order by new.id collate "C"
  on conflict do nothing;
  perform from chatstore.session_states state where state.session_id = any (s_ids) order by state.session_id for update;

  -- What belongs to a life that was born before the newest deletion is passed over, and so is one that has expired before
  -- the one that is here was born. A life that is here ends by a deletion, or because it has expired and one that was
  -- born later arrives. What would replace or delete another user's session must not.
  select
    array_agg(met.arrives order by met.place),
    array_agg(met.here and not met.ends order by met.place),
    array_agg(met.clears order by met.place),
    coalesce(array_agg(met.id) filter (where met.sweeps), '{}'),
    coalesce(array_agg(met.id) filter (where met.ends), '{}'),
    min(met.id) filter (where met.foreigner and (met.arrives or met.ends) and not met.outlived)
  into arrives, known, clears, swept, gone, taken
  from (
    select
      come.*,
      come.arrives and come.outlives as outlived,
      come.ended or (come.arrives and come.outlives) as ends
    from (
      select
        new.place,
        new.id,
        s.id is not null as here,
        coalesce(new.born >= greatest(state.deleted, new.deleted), false)
          and (s.id is null or new.born >= s.born or new.expires_at is null or new.expires_at > now()) as arrives,
        coalesce(s.born < new.born and s.expires_at <= now(), false) as outlives,
        coalesce(s.born < new.deleted, false) as ended,
        coalesce(s.user_id <> new.user_id, false) as foreigner,
        state.cleared < new.cleared as sweeps,
        greatest(state.cleared, new.cleared) as clears
      from unnest(s_ids, s_users, s_born, s_deleted, s_cleared, s_expires)
        with ordinality as new (id, user_id, born, deleted, cleared, expires_at, place)
      join chatstore.session_states state on state.session_id = new.id
      left join public.sessions s on s.id = new.id
    ) come
  ) met;
  if taken is not null then
    raise exception 'the session id is taken by another user' using errcode = 'PT409', detail = taken;
  end if;

  update chatstore.session_states state
  set
    last = greatest(state.last, new.last),
    deleted = greatest(state.deleted, new.deleted),
    cleared = greatest(state.cleared, new.cleared)
  from unnest(s_ids, s_last, s_deleted, s_cleared) as new (id, last, deleted, cleared)
  where state.session_id = new.id
    and (state.last < new.last or state.deleted < new.deleted or state.cleared < new.cleared);
  if cardinality(gone) > 0 then
    delete from public.sessions s where s.id = any (gone);
    delete from chatstore.tombstones t where t.session_id = any (gone);
  end if;

  -- A session that has expired is not made: it is noted that there was this life of it.
  if s_expires is not null then
    lapsing := array(
      select new.id
      from unnest(s_ids, s_expires, arrives) as new (id, expires_at, arrives)
      where new.arrives and new.expires_at <= now()
        and not exists (select from public.sessions s where s.id = new.id)
    );
    if cardinality(lapsing) > 0 then
      update chatstore.session_states state
      set lapsed = greatest(state.lapsed, new.born + 1)
      from unnest(s_ids, s_born) as new (id, born)
      where new.id = any (lapsing) and state.session_id = new.id;
      arrives := array(
        select new.arrives and new.id <> all (lapsing)
        from unnest(s_ids, arrives) with ordinality as new (id, arrives, place)
        order by new.place
      );
    end if;
  end if;

  insert into public.sessions as s (
    id, user_id, title, metadata, created_at, updated_at, expires_at, version, born, extra
  )
  select
    new.id, new.user_id, new.title, coalesce(new.metadata, '{}'), new.created_at, new.updated_at, new.expires_at,
    new.version, new.born, coalesce(new.extra, '{}')
  from unnest(s_ids, s_users, s_titles, s_metadata, s_created, s_updated, s_expires, s_versions, s_born, s_extra, arrives) as new (
    id, user_id, title, metadata, created_at, updated_at, expires_at, version, born, extra, arrives
  )
  where new.arrives
  on conflict (id) do update set
    title = excluded.title,
    metadata = excluded.metadata,
    created_at = excluded.created_at,
    updated_at = greatest(s.updated_at, excluded.updated_at),
    expires_at = excluded.expires_at,
    version = excluded.version,
    born = greatest(s.born, excluded.born),
    extra = excluded.extra
  where s.version < excluded.version or (s.version = excluded.version and s.expires_at <= now());
  update public.sessions s
  set updated_at = greatest(s.updated_at, new.updated_at), born = greatest(s.born, new.born)
  from unnest(s_ids, s_updated, s_born, arrives, known) as new (id, updated_at, born, arrives, known)
  where s.id = new.id and new.arrives and new.known and (s.updated_at < new.updated_at or s.born < new.born);
  update chatstore.session_states state
  set user_id = new.user_id
  from unnest(s_ids, s_users, arrives) as new (id, user_id, arrives)
  where new.arrives and state.session_id = new.id and state.user_id <> new.user_id;

  if t_of is not null then
    insert into chatstore.tombstones as t (session_id, id, version)
    select s_ids[new.of], new.id, new.version
    from unnest(t_of, t_ids, t_versions) as new (of, id, version)
    where arrives[new.of]
    on conflict (session_id, id) do update set version = excluded.version
    where t.version < excluded.version;
    delete from public.messages m
    using unnest(s_ids, arrives) as new (id, arrives), chatstore.tombstones t
    where new.arrives and m.session_id = new.id and t.session_id = m.session_id and t.id = m.id;
  end if;
  if cardinality(swept) > 0 then
    delete from public.messages m
    using chatstore.session_states state
    where m.session_id = any (swept) and state.session_id = m.session_id and m.version < state.cleared;
  end if;
  -- A message whose newest state has expired is none.
  if m_expires is not null then
    delete from public.messages m
    using unnest(m_of, m_ids, m_versions, m_expires) as new (of, id, version, expires_at)
    where arrives[new.of] and m.session_id = s_ids[new.of] and m.id = new.id
      and m.version < new.version and new.expires_at <= now();
  end if;

  -- The questions that have the same answer for a whole session are asked once, not for each message.
  buried := exists (
    select from unnest(s_ids, arrives) as new (id, arrives)
    where new.arrives and exists (select from chatstore.tombstones t where t.session_id = new.id)
  );
  insert into public.messages as m (
    session_id, id, user_id, position, role, content, metadata, created_at, expires_at, version, extra
  )
  select
    s_ids[new.of], new.id, s_users[new.of], new.position, new.role, new.content, coalesce(new.metadata, '{}'),
    new.created_at, new.expires_at, new.version, coalesce(new.extra, '{}')
  from unnest(
    m_of, m_ids, m_positions, m_roles, m_contents, m_metadata, m_created, m_expires, m_versions, m_extra
  ) as new (of, id, position, role, content, metadata, created_at, expires_at, version, extra)
  where arrives[new.of]
    and new.version >= clears[new.of]
    and (new.expires_at is null or new.expires_at > now())
    and not (
      buried and exists (select from chatstore.tombstones t where t.session_id = s_ids[new.of] and t.id = new.id)
    )
    -- What is here already is not even locked, so that a put that changes nothing writes nothing.
    and not (
      known[new.of] and exists (
        select from public.messages held
        where held.session_id = s_ids[new.of] and held.id = new.id and held.version >= new.version
          and (held.version > new.version or held.expires_at is null or held.expires_at > now())
      )
    )
  on conflict (session_id, id) do update set
    position = excluded.position,
    role = excluded.role,
    content = excluded.content,
    metadata = excluded.metadata,
    created_at = excluded.created_at,
    expires_at = excluded.expires_at,
    version = excluded.version,
    extra = excluded.extra
  where m.version < excluded.version or (m.version = excluded.version and m.expires_at <= now());

  -- The digest is made of what was given, and `chatstore_proved` makes the same one of what is held: so they are equal
  -- only where the one is the other. `record_send` writes each field's type and length before its bytes.
  if s_fingerprints is not null then
    insert into chatstore.copied as c (session_id, fingerprint, digest, messages)
    select
      s_ids[part.of], s_fingerprints[part.of],
      sha256(string_agg(part.digest, ''::bytea order by part.position nulls first, part.id)),
      count(part.position)
    from (
      select
        new.place as of, null::bigint as position, null::text collate "C" as id,
        sha256(record_send(row(
          new.user_id, new.title, coalesce(new.metadata, '{}'), new.created_at, new.updated_at, new.expires_at,
          coalesce(new.extra, '{}')
        ))) as digest
      from unnest(s_ids, s_users, s_titles, s_metadata, s_created, s_updated, s_expires, s_extra)
        with ordinality as new (id, user_id, title, metadata, created_at, updated_at, expires_at, extra, place)
      where arrives[new.place] and s_fingerprints[new.place] is not null
      union all
      select
        new.of, new.position, new.id collate "C",
        sha256(record_send(row(
          new.id, s_users[new.of], new.position, new.role, new.content, coalesce(new.metadata, '{}'), new.created_at,
          new.expires_at, coalesce(new.extra, '{}')
        )))
      from unnest(m_of, m_ids, m_positions, m_roles, m_contents, m_metadata, m_created, m_expires, m_extra) as new (
        of, id, position, role, content, metadata, created_at, expires_at, extra
      )
      where arrives[new.of] and s_fingerprints[new.of] is not null
    ) part
    group by part.of
    on conflict (session_id) do update set
      fingerprint = excluded.fingerprint, digest = excluded.digest, messages = excluded.messages
    where (c.fingerprint, c.digest) <> (excluded.fingerprint, excluded.digest);
  end if;
  return 'done';
end;
$$;

-- Which sessions were put with these fingerprints, and are still held as they were put. What has expired is held no more.
create or replace function public.chatstore_proved(request text) returns text
language plpgsql stable set search_path = ''
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
begin
  return (
    select json_build_object(
      'ids', coalesce(json_agg(c.session_id), '[]'), 'messages', coalesce(json_agg(c.messages), '[]')
    )::text
    from jsonb_to_record(request::jsonb) as wanted (ids text[], fingerprints text[])
    cross join unnest(wanted.ids, wanted.fingerprints) as asked (id, fingerprint)
    join chatstore.copied c on c.session_id = asked.id and c.fingerprint = asked.fingerprint
    join public.sessions s on s.id = c.session_id and (s.expires_at is null or s.expires_at > now())
    where c.digest = (
      select
        case when bool_or(m.expires_at <= now()) then null
        else sha256(
          sha256(record_send(row(
            s.user_id, s.title, s.metadata, s.created_at, s.updated_at, s.expires_at, s.extra
          )))
          || coalesce(
            string_agg(
              sha256(record_send(row(
                m.id, m.user_id, m.position, m.role, m.content, m.metadata, m.created_at, m.expires_at, m.extra
              ))),
              ''::bytea
              order by m.position, m.id
            ),
            ''
          )
        )
        end
      from public.messages m
      where m.session_id = s.id
    )
  );
end;
$$;

-- The ids of the sessions that exist, in their order, from behind one on.
create or replace function public.chatstore_session_ids(request text) returns text
language plpgsql stable set search_path = '' as $$
declare
  wanted jsonb := request::jsonb;
begin
  return (
    select coalesce(json_agg(page.id), '[]')::text
    from (
      select s.id
      from public.sessions s
      where s.id > coalesce(wanted ->> 'after', '') and (s.expires_at is null or s.expires_at > now())
      order by s.id
      limit (wanted ->> 'limit')::integer
    ) page
  );
end;
$$;

-- Tells all about the sessions named, in the order of their ids, from behind a place on; nothing that has expired. It
-- stops when it has told `limit` sessions and messages, or 4 MB of them, and says how far it came.
create or replace function public.chatstore_state_columns(request text) returns text
language plpgsql stable set search_path = ''
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  wanted jsonb := request::jsonb;
  only_messages text[] := array(select jsonb_array_elements_text(wanted -> 'message_ids'));
  room integer := wanted ->> 'limit';
  heavy bigint := 4000000;
  after_session text := coalesce(wanted ->> 'after_session', '');
  after_position bigint := wanted ->> 'after';
  after_id text := wanted ->> 'after_id';
  names text[];
  lapsed text[];
  told text[] := '{}';
  name text;
  size integer;
  weight bigint;
  cut integer;
  messages public.messages[];
  places bigint[];
  -- Whose each message is, where that is not whose its session is: chatstore makes none such, but somebody else may.
  strangers text[];
  next json;
begin
  names := array(
    select distinct named.id
    from (select jsonb_array_elements_text(wanted -> 'session_ids') collate "C" as id) named
    where named.id > after_session or (named.id = after_session and after_id is not null)
    order by named.id
  );
  lapsed := array(select s.id from public.sessions s where s.id = any (names) and s.expires_at <= now());

  if wanted ? 'message_ids' then
    told := names;
    select array_agg(found.message), array_agg(found.place), array_agg(found.stranger)
    into messages, places, strangers
    from (
      select m as message, asked.place, nullif(m.user_id, s.user_id) as stranger
      from unnest(told) with ordinality as asked (id, place)
      join public.sessions s on s.id = asked.id
      join public.messages m on m.session_id = asked.id and m.id = any (only_messages)
      where asked.id <> all (lapsed) and (m.expires_at is null or m.expires_at > now())
      order by asked.place, m.position, m.id
    ) found;
  else
    -- As many whole sessions as there is room for; or a part of the first.
    foreach name in array names loop
      select count(*), coalesce(sum(held.weight), 0)
      into size, weight
      from (
        select
          -- As `chatstore.weight` does, which would be called for each message.
          octet_length(m.content)
          + case
            when pg_column_compression(m.metadata) is null then pg_column_size(m.metadata)
            else octet_length(m.metadata::text)
          end
          + case
            when pg_column_compression(m.extra) is null then pg_column_size(m.extra)
            else octet_length(m.extra::text)
          end as weight
        from public.messages m
        where m.session_id = name and name <> all (lapsed)
          and (after_id is null or name <> after_session or (m.position, m.id) > (after_position, after_id))
        limit room
      ) held;
      if size >= room or weight >= heavy then
        if told = '{}' then
          told := array[name];
          select max(held.place)
          into cut
          from (
            select row_number() over in_order as place, sum(line.weight) over in_order - line.weight as weight_before
            from (
              select
                m.position, m.id,
                octet_length(m.content)
                + case
                  when pg_column_compression(m.metadata) is null then pg_column_size(m.metadata)
                  else octet_length(m.metadata::text)
                end
                + case
                  when pg_column_compression(m.extra) is null then pg_column_size(m.extra)
                  else octet_length(m.extra::text)
                end
                  as weight
              from public.messages m
              where m.session_id = name
                and (after_id is null or name <> after_session or (m.position, m.id) > (after_position, after_id))
                and (m.expires_at is null or m.expires_at > now())
              order by m.position, m.id
              limit room
            ) line
            window in_order as (order by line.position, line.id)
          ) held
          where held.weight_before < heavy;
        end if;
        exit;
      end if;
      told := told || name;
      room := room - 1 - size;
      heavy := heavy - weight;
    end loop;
    select array_agg(found.message), array_agg(found.place), array_agg(found.stranger)
    into messages, places, strangers
    from (
      select line.message, asked.place, nullif(line.user_id, s.user_id) as stranger
      from unnest(told) with ordinality as asked (id, place)
      join public.sessions s on s.id = asked.id
      cross join lateral (
        select m as message, m.position, m.id, m.user_id
        from public.messages m
        where m.session_id = asked.id
          and (after_id is null or asked.id <> after_session or (m.position, m.id) > (after_position, after_id))
          and (m.expires_at is null or m.expires_at > now())
        order by m.position, m.id
        limit cut
      ) line
      where asked.id <> all (lapsed)
      order by asked.place, line.position, line.id
    ) found;
    name := told[cardinality(told)];
    if cardinality(messages) = cut then
      next := json_build_object(
        'after_session', name, 'after', (messages[cut]).position, 'after_id', (messages[cut]).id
      );
    elsif name <> names[cardinality(names)] then
      next := json_build_object('after_session', name);
    end if;
  end if;

  return json_build_object(
    'sessions', (
      select json_build_object(
        'ids', json_agg(line.id), 'users', json_agg(line.user_id), 'deleted', json_agg(line.deleted),
        'cleared', json_agg(line.cleared), 'titles', json_agg(line.title), 'metadata', json_agg(line.metadata),
        'created', json_agg(line.created_at), 'updated', json_agg(line.updated_at),
        'expires', json_agg(line.expires_at), 'versions', json_agg(line.version), 'born', json_agg(line.born),
        'extra', json_agg(line.extra)
      )
      from (
        select
          asked.id, coalesce(s.user_id, state.user_id) as user_id, coalesce(state.deleted, 0) as deleted,
          coalesce(state.cleared, 0) as cleared, s.title, nullif(s.metadata, '{}')::text as metadata, s.created_at,
          s.updated_at, s.expires_at, s.version, s.born, nullif(s.extra, '{}')::text as extra
        from unnest(told) with ordinality as asked (id, place)
        left join public.sessions s on s.id = asked.id and asked.id <> all (lapsed)
        left join chatstore.session_states state on state.session_id = asked.id
        order by asked.place
      ) line
    ),
    'messages', (
      select json_build_object(
        'of', json_agg(line.place), 'ids', json_agg(line.id),
        'users', case when array_remove(strangers, null) <> '{}' then to_json(strangers) end,
        'positions', json_agg(line.position), 'roles', json_agg(line.role), 'contents', json_agg(line.content),
        'metadata', json_agg(nullif(line.metadata, '{}')::text), 'created', json_agg(line.created_at),
        'expires', json_agg(line.expires_at), 'versions', json_agg(line.version),
        'extra', json_agg(nullif(line.extra, '{}')::text)
      )
      from (
        select m.*, places[m.ordinality] as place from unnest(messages) with ordinality as m
      ) line
    ),
    'tombstones', (
      select json_build_object('of', json_agg(asked.place), 'ids', json_agg(t.id), 'versions', json_agg(t.version))
      from unnest(told) with ordinality as asked (id, place)
      join chatstore.tombstones t on t.session_id = asked.id
      where asked.id <> all (lapsed)
        and (after_id is null or asked.id <> after_session)
        and (not wanted ? 'message_ids' or t.id = any (only_messages))
    ),
    'next', next
  )::text;
end;
$$;

create or replace function public.chatstore_count(request text) returns text
language sql stable set search_path = ''
begin atomic
  select json_build_object(
    'sessions', (select count(*) from public.sessions),
    'messages', (select count(*) from public.messages)
  )::text;
end;

-- Removing what has expired. Reads pass it over anyway, so a sweep only gives its room back, and may run at any time.
--
-- It writes no deletion down: the other side may know of a later expiry, or of a life that was born since. What the join
-- must know stays in `session_states`: that there was a life up to `lapsed`, and the greatest version. What comes late
-- has expired, too, and the join does not take it.

-- Removes up to `max_rows` expired sessions, their messages and tombstones, and expired messages of other sessions. It
-- waits for nobody: what others are writing is left for the next sweep. `more` tells that it came to `max_rows`.
create or replace function chatstore.sweep_expired(max_rows integer default 10000) returns jsonb
language plpgsql volatile set search_path = '' as $$
declare
  room integer := greatest(max_rows, 1);
  names text[];
  gone text[];
  messages integer;
  tombstones integer;
  alone integer;
begin
  names := array(
    select s.id from public.sessions s where s.expires_at <= now() order by s.expires_at, s.id limit room
  );
  -- A session that something else than chatstore wrote has no state yet; see `lock_state`.
  insert into chatstore.session_states (session_id, user_id, last)
  select s.id, s.user_id, chatstore.greatest_version(s.id)
  from public.sessions s
  where s.id = any (names)
    and not exists (select from chatstore.session_states state where state.session_id = s.id)
  order by s.id
  on conflict do nothing;
  names := array(
    select state.session_id from chatstore.session_states state
    where state.session_id = any (names)
    order by state.session_id
    for update skip locked
  );
  -- Looked at again: until they were locked, a put may have brought a later expiry.
  names := array(
    select s.id from public.sessions s where s.id = any (names) and s.expires_at <= now() for update skip locked
  );

  with doomed as materialized (
    select n.session_id, n.id from public.messages n where n.session_id = any (names) limit room for update skip locked
  )
  delete from public.messages m
  using doomed
  where m.session_id = doomed.session_id and m.id = doomed.id;
  get diagnostics messages = row_count;
  room := room - messages;

  with doomed as materialized (
    select u.session_id, u.id from chatstore.tombstones u where u.session_id = any (names) limit room
  )
  delete from chatstore.tombstones t
  using doomed
  where t.session_id = doomed.session_id and t.id = doomed.id;
  get diagnostics tombstones = row_count;
  room := room - tombstones;

  -- A session with more than there was room for goes with a later sweep.
  gone := array(
    select s.id from public.sessions s
    where s.id = any (names)
      and not exists (select from public.messages m where m.session_id = s.id)
      and not exists (select from chatstore.tombstones t where t.session_id = s.id)
    limit room
  );
  update chatstore.session_states state
  set lapsed = greatest(state.lapsed, s.born + 1), last = greatest(state.last, s.version)
  from public.sessions s
  where s.id = any (gone) and state.session_id = s.id;
  delete from public.sessions s where s.id = any (gone);
  room := room - cardinality(gone);

  with doomed as materialized (
    select n.session_id, n.id from public.messages n
    where n.expires_at <= now()
    order by n.expires_at
    limit room
    for update skip locked
  )
  delete from public.messages m
  using doomed
  where m.session_id = doomed.session_id and m.id = doomed.id;
  get diagnostics alone = row_count;
  room := room - alone;

  return jsonb_build_object(
    'sessions', cardinality(gone), 'messages', messages + alone, 'tombstones', tombstones, 'more', room <= 0
  );
end;
$$;

-- The same for the API.
create or replace function public.chatstore_sweep(request text) returns text
language sql volatile set search_path = ''
return chatstore.sweep_expired((request::jsonb ->> 'limit')::integer)::text;

-- The ids of all sessions that are held of a user, in their order, from behind one on: also of those that have expired and
-- are not swept yet. For who is to be forgotten.
create or replace function public.chatstore_held(request text) returns text
language plpgsql stable set search_path = '' as $$
declare
  wanted jsonb := request::jsonb;
begin
  return (
    select coalesce(json_agg(page.id), '[]')::text
    from (
      select s.id
      from public.sessions s
      where s.user_id = wanted ->> 'user_id' and s.id > coalesce(wanted ->> 'after', '')
      order by s.id
      limit (wanted ->> 'limit')::integer
    ) page
  );
end;
$$;

-- The journal. An app's user reaches `add_marks` only, from inside a write; the rest is for the service key. What has
-- nothing to tell answers `done`, which nobody else's server would by chance.

create or replace function chatstore.add_marks(marks jsonb) returns void
language sql volatile set search_path = ''
begin atomic
  insert into chatstore.marks (token, key, user_id, side, op, message_ids, at, lease_until, while_open)
  select new.token, new.key, new.user_id, new.side, new.op, new.message_ids, new.at, new.lease_until, new.while_open
  from jsonb_to_recordset(marks) as new (
    token text, key text, user_id text, side text, op text, message_ids jsonb, at timestamptz,
    lease_until timestamptz, while_open boolean
  )
  where not new.while_open or exists (select m.journal_open from chatstore.migration m where m.journal_open)
  on conflict do nothing;
end;

create or replace function public.chatstore_add_marks(request text) returns text
language sql volatile set search_path = ''
begin atomic
  select chatstore.add_marks(request::jsonb -> 'marks');
  select 'done';
end;

create or replace function public.chatstore_clear_marks(request text) returns text
language sql volatile set search_path = ''
begin atomic
  delete from chatstore.marks m
  where m.token = any (array(select jsonb_array_elements_text(request::jsonb -> 'tokens')));
  select 'done';
end;

-- Clears the marks on whose keys none stands that is not known; returns the tokens of the others.
create or replace function public.chatstore_clear_marks_alone(request text) returns text
language plpgsql volatile set search_path = '' as $$
declare
  given jsonb := request::jsonb -> 'marks';
  known text[] := array(select jsonb_array_elements_text(request::jsonb -> 'known'));
  contested text[] := array(
    select distinct mine.token
    from jsonb_to_recordset(given) as mine (token text, user_id text, key text)
    join chatstore.marks other on other.user_id = mine.user_id and other.key = mine.key
    where other.token <> all (known)
  );
begin
  delete from chatstore.marks m
  using jsonb_to_recordset(given) as mine (token text)
  where m.token = mine.token and mine.token <> all (contested);
  return to_json(contested)::text;
end;
$$;

create or replace function public.chatstore_marks(request text) returns text
language plpgsql stable set search_path = '' as $$
declare
  wanted jsonb := request::jsonb;
begin
  return (
    select coalesce(json_agg(page), '[]')::text
    from (
      select m.*
      from chatstore.marks m
      where (m.at, m.token) > (coalesce((wanted ->> 'after')::timestamptz, '-infinity'), coalesce(wanted ->> 'token', ''))
      order by m.at, m.token
      limit (wanted ->> 'limit')::integer
    ) page
  );
end;
$$;

create or replace function public.chatstore_marks_of(request text) returns text
language plpgsql stable set search_path = '' as $$
declare
  wanted jsonb := request::jsonb;
  keys text[] := array(select jsonb_array_elements_text(wanted -> 'keys'));
begin
  return (
    select coalesce(json_agg(m order by m.at, m.token), '[]')::text
    from chatstore.marks m
    where m.user_id = wanted ->> 'user_id' and (not wanted ? 'keys' or m.key = any (keys))
  );
end;
$$;

create or replace function public.chatstore_backlog(request text) returns text
language sql stable set search_path = ''
begin atomic
  select json_build_object('marks', count(*), 'oldest', min(m.at))::text from chatstore.marks m;
end;

create or replace function public.chatstore_migration(request text) returns text
language sql stable set search_path = ''
begin atomic
  select row_to_json(m)::text from chatstore.migration m;
end;

-- Remembers what is given and leaves the rest as it is.
create or replace function public.chatstore_remember(request text) returns text
language sql volatile set search_path = ''
begin atomic
  insert into chatstore.migration as m (
    journal_open, backfilled_at, verified_at, differed_at, stage, way_back_closed
  )
  select
    coalesce(new.journal_open, false), new.backfilled_at, new.verified_at, new.differed_at, new.stage,
    coalesce(new.way_back_closed, false)
  from jsonb_to_record(request::jsonb) as new (
    journal_open boolean, backfilled_at timestamptz, verified_at timestamptz, differed_at timestamptz, stage text,
    way_back_closed boolean
  )
  on conflict (only_one) do update set
    journal_open = coalesce((request::jsonb ->> 'journal_open')::boolean, m.journal_open),
    backfilled_at = coalesce(excluded.backfilled_at, m.backfilled_at),
    verified_at = coalesce(excluded.verified_at, m.verified_at),
    differed_at = coalesce(excluded.differed_at, m.differed_at),
    stage = coalesce(excluded.stage, m.stage),
    way_back_closed = coalesce((request::jsonb ->> 'way_back_closed')::boolean, m.way_back_closed);
  select 'done';
end;

create or replace function public.chatstore_forget(request text) returns text
language sql volatile set search_path = ''
begin atomic
  delete from chatstore.migration where true;
  select 'done';
end;

-- Nobody may call what is not granted here. Supabase grants every new function in `public` to all roles by default.

do $$
declare
  ours regprocedure;
begin
  for ours in
    select p.oid from pg_catalog.pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.proname like 'chatstore\_%'
  loop
    execute format('revoke all on function %s from public, anon, authenticated', ours);
    execute format('grant execute on function %s to service_role', ours);
  end loop;
end;
$$;

revoke all on all functions in schema chatstore from public, anon, authenticated;
grant execute on all functions in schema chatstore to service_role;

grant execute on function
  public.chatstore_version(),
  public.chatstore_write(text),
  public.chatstore_session(text),
  public.chatstore_sessions(text),
  public.chatstore_messages(text),
  public.chatstore_last_messages(text),
  public.chatstore_count_messages(text)
to authenticated;

-- What those call, with the rights of their caller. No request can name these.
grant execute on function
  chatstore.next_version(bigint),
  chatstore.is_visible(text, text),
  chatstore.weight(public.messages),
  chatstore.page_of_messages(text, bigint, text, integer),
  chatstore.lock_state(text, text),
  chatstore.greatest_version(text),
  chatstore.open_session(jsonb),
  chatstore.close_session(jsonb, bigint),
  chatstore.end_life(chatstore.session_states),
  chatstore.create_session(jsonb),
  chatstore.update_session(jsonb),
  chatstore.delete_session(jsonb),
  chatstore.append_messages(jsonb),
  chatstore.edit_message(jsonb),
  chatstore.remove_messages(jsonb),
  chatstore.clear_messages(jsonb),
  chatstore.add_marks(jsonb)
to authenticated;

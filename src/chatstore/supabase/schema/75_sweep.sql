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

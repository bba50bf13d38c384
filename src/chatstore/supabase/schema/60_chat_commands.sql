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

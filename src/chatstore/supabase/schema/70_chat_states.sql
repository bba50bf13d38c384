-- What one side hands to the other. For the service key only.

-- Joins states into this side: of each record the newer version stays, and what was deleted stays deleted. What has
-- expired here is as if it were not there: the same version with a later expiry takes its place. A session comes once in
-- `sessions`, with the newest of what is handed over; likewise each message and each tombstone.
create or replace function public.chatstore_put(request text) returns text
language plpgsql volatile set search_path = '' as $$
declare
  given jsonb := request::jsonb;
  ids text[];
  swept text[];
  ended text[];
  expired text[];
  lapsing text[];
  arriving text[];
  taken text;
begin
  ids := array(select s.id from jsonb_to_recordset(given -> 'sessions') as s (id text) order by s.id);

  -- In the order of their ids, so that of two that meet on several sessions one waits, and neither for the other.
  insert into chatstore.session_states (session_id, user_id, last)
  select new.id, new.user_id, chatstore.greatest_version(new.id)
  from jsonb_to_recordset(given -> 'sessions') as new (id text, user_id text)
  where not exists (select from chatstore.session_states state where state.session_id = new.id)
  order by new.id
  on conflict do nothing;
  perform from chatstore.session_states state where state.session_id = any (ids) order by state.session_id for update;

  -- What belongs to a life that was born before the newest deletion is passed over, and so is one that has expired before
  -- the one that is here was born.
  arriving := array(
    select new.id
    from jsonb_to_recordset(given -> 'sessions')
      as new (id text, born bigint, deleted bigint, expires_at timestamptz)
    join chatstore.session_states state
      on state.session_id = new.id and new.born >= greatest(state.deleted, new.deleted)
    left join public.sessions s on s.id = new.id
    where s.id is null or new.born >= s.born or new.expires_at is null or new.expires_at > now()
  );
  expired := array(
    select s.id
    from jsonb_to_recordset(given -> 'sessions') as new (id text, born bigint)
    join public.sessions s on s.id = new.id and s.born < new.born and s.expires_at <= now()
    where new.id = any (arriving)
  );
  -- What would replace or delete another user's session must not.
  select s.id into taken
  from jsonb_to_recordset(given -> 'sessions') as new (id text, user_id text, deleted bigint)
  join public.sessions s on s.id = new.id and s.user_id <> new.user_id
  where (new.id = any (arriving) or s.born < new.deleted) and s.id <> all (expired)
  limit 1;
  if taken is not null then
    raise exception 'the session id is taken by another user' using errcode = 'PT409', detail = taken;
  end if;

  swept := array(
    select state.session_id
    from jsonb_to_recordset(given -> 'sessions') as new (id text, cleared bigint)
    join chatstore.session_states state on state.session_id = new.id and state.cleared < new.cleared
  );
  ended := array(
    select s.id
    from jsonb_to_recordset(given -> 'sessions') as new (id text, deleted bigint)
    join public.sessions s on s.id = new.id and s.born < new.deleted
  );
  update chatstore.session_states state
  set
    last = greatest(state.last, new.last),
    deleted = greatest(state.deleted, new.deleted),
    cleared = greatest(state.cleared, new.cleared)
  from jsonb_to_recordset(given -> 'sessions') as new (id text, last bigint, deleted bigint, cleared bigint)
  where state.session_id = new.id;
  delete from public.sessions s where s.id = any (ended || expired);
  delete from chatstore.tombstones t where t.session_id = any (ended || expired);

  -- A session that has expired is not made: it is noted that there was this life of it.
  lapsing := array(
    select new.id
    from jsonb_to_recordset(given -> 'sessions') as new (id text, expires_at timestamptz)
    where new.id = any (arriving) and new.expires_at <= now()
      and not exists (select from public.sessions s where s.id = new.id)
  );
  if cardinality(lapsing) > 0 then
    update chatstore.session_states state
    set lapsed = greatest(state.lapsed, new.born + 1)
    from jsonb_to_recordset(given -> 'sessions') as new (id text, born bigint)
    where new.id = any (lapsing) and state.session_id = new.id;
    arriving := array(select unnest(arriving) except select unnest(lapsing));
  end if;

  insert into public.sessions as s (
    id, user_id, title, metadata, created_at, updated_at, expires_at, version, born, extra
  )
  select
    new.id, new.user_id, new.title, new.metadata, new.created_at, new.updated_at, new.expires_at, new.version, new.born,
    new.extra
  from jsonb_to_recordset(given -> 'sessions') as new (
    id text, user_id text, title text, metadata jsonb, created_at timestamptz, updated_at timestamptz,
    expires_at timestamptz, version bigint, born bigint, extra jsonb
  )
  where new.id = any (arriving)
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
  from jsonb_to_recordset(given -> 'sessions') as new (id text, updated_at timestamptz, born bigint)
  where s.id = new.id and s.id = any (arriving) and (s.updated_at < new.updated_at or s.born < new.born);
  update chatstore.session_states state
  set user_id = s.user_id
  from public.sessions s
  where s.id = any (arriving) and state.session_id = s.id and state.user_id <> s.user_id;

  if jsonb_array_length(given -> 'tombstones') > 0 then
    insert into chatstore.tombstones as t (session_id, id, version)
    select new.session_id, new.id, new.version
    from jsonb_to_recordset(given -> 'tombstones') as new (session_id text, id text, version bigint)
    where new.session_id = any (arriving)
    on conflict (session_id, id) do update set version = excluded.version
    where t.version < excluded.version;
    delete from public.messages m
    using chatstore.tombstones t
    where m.session_id = any (arriving) and t.session_id = m.session_id and t.id = m.id;
  end if;
  if cardinality(swept) > 0 then
    delete from public.messages m
    using chatstore.session_states state
    where m.session_id = any (swept) and state.session_id = m.session_id and m.version < state.cleared;
  end if;

  -- A message whose newest state has expired is none.
  if given -> 'messages' @? '$[*].expires_at ? (@ != null)' then
    delete from public.messages m
    using jsonb_to_recordset(given -> 'messages') as new (
      session_id text, id text, version bigint, expires_at timestamptz
    )
    where m.session_id = any (arriving) and m.session_id = new.session_id and m.id = new.id
      and m.version < new.version and new.expires_at <= now();
  end if;
  insert into public.messages as m (
    session_id, id, user_id, position, role, content, metadata, created_at, expires_at, version, extra
  )
  select
    new.session_id, new.id, s.user_id, new.position, new.role, new.content, new.metadata, new.created_at,
    new.expires_at, new.version, new.extra
  from jsonb_to_recordset(given -> 'messages') as new (
    session_id text, id text, position bigint, role text, content text, metadata jsonb, created_at timestamptz,
    expires_at timestamptz, version bigint, extra jsonb
  )
  join public.sessions s on s.id = new.session_id
  join chatstore.session_states state on state.session_id = new.session_id and new.version >= state.cleared
  where new.session_id = any (arriving) and (new.expires_at is null or new.expires_at > now()) and not exists (
    select from chatstore.tombstones t where t.session_id = new.session_id and t.id = new.id
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
  return 'done';
end;
$$;

-- Tells all about the sessions named, or about every one that exists, in the order of their ids, from behind a cursor
-- on; nothing that has expired. It stops when it has told `limit` sessions and messages, or 4 MB of one session's, and says how far it came.
create or replace function public.chatstore_states(request text) returns text
language plpgsql stable set search_path = '' as $$
declare
  wanted jsonb := request::jsonb;
  only_messages text[] := array(select jsonb_array_elements_text(wanted -> 'message_ids'));
  room integer := wanted ->> 'limit';
  after_session text := coalesce(wanted ->> 'after_session', '');
  after_position bigint := wanted ->> 'after';
  after_id text := wanted ->> 'after_id';
  names text[];
  name text;
  alive boolean;
  page record;
  part json;
  parts json[] := '{}';
  next json;
begin
  if wanted ? 'session_ids' then
    names := array(
      select distinct named.id
      from (select jsonb_array_elements_text(wanted -> 'session_ids') collate "C" as id) named
      where named.id > after_session or (named.id = after_session and after_id is not null)
      order by named.id
    );
  else
    names := array(
      select s.id from public.sessions s
      where s.id >= after_session and (s.id > after_session or after_id is not null)
        and (s.expires_at is null or s.expires_at > now())
      order by s.id
      limit room
    );
    if cardinality(names) = room then
      next := json_build_object('after_session', names[room]);
    end if;
  end if;

  foreach name in array names loop
    alive := not exists (select from public.sessions s where s.id = name and s.expires_at <= now());
    if wanted ? 'message_ids' or not alive then
      select
        coalesce(json_agg(row_to_json(m) order by m.position, m.id), '[]') as messages,
        count(*)::integer as told, false as more
      into page
      from public.messages m
      where alive and m.session_id = name and m.id = any (only_messages)
        and (m.expires_at is null or m.expires_at > now());
    else
      select * into page from chatstore.page_of_messages(name, after_position, after_id, room);
    end if;
    select json_build_object(
      'session_id', name,
      'user_id', coalesce(s.user_id, state.user_id),
      'session', row_to_json(s),
      'deleted', coalesce(state.deleted, 0),
      'cleared', coalesce(state.cleared, 0),
      'messages', page.messages,
      'tombstones', (
        select coalesce(json_agg(json_build_object('id', t.id, 'version', t.version)), '[]')
        from chatstore.tombstones t
        where alive
          and t.session_id = name
          and after_id is null
          and (not wanted ? 'message_ids' or t.id = any (only_messages))
      )
    ) into part
    from (values (name)) as asked (id)
    left join public.sessions s on alive and s.id = asked.id
    left join chatstore.session_states state on state.session_id = asked.id
    where s.id is not null or state.deleted > 0;
    if part is not null then
      parts := parts || part;
    end if;

    room := room - 1 - page.told;
    if page.more then
      next := json_build_object('after_session', name, 'after', page.last_position, 'after_id', page.last_id);
      exit;
    end if;
    if room <= 0 and name <> names[cardinality(names)] then
      next := json_build_object('after_session', name);
      exit;
    end if;
    after_position := null;
    after_id := null;
  end loop;
  return json_build_object('parts', array_to_json(parts), 'next', next)::text;
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

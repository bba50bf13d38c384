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

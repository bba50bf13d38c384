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

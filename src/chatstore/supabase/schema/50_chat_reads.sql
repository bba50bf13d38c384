-- What an app reads. Each function takes and gives JSON as text, because a server between Postgres and the client may
-- handle JSON in JavaScript, where a great integer loses its last digits and 1.0 becomes 1. A session that is not the
-- user's, is not there, or has expired, is answered by null.

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
language plpgsql stable set search_path = '' as $$
declare
  wanted jsonb := request::jsonb;
begin
  return (
    select coalesce(json_agg(page), '[]')::text
    from (
      select s.*
      from public.sessions s
      where s.user_id = wanted ->> 'user_id'
        and (s.updated_at, s.id) < (coalesce((wanted ->> 'before')::timestamptz, 'infinity'), wanted ->> 'before_id')
        and (s.expires_at is null or s.expires_at > now())
      order by s.updated_at desc, s.id desc
      limit (wanted ->> 'limit')::integer
    ) page
  );
end;
$$;

-- A page of a session's messages, oldest first: at most `room` of them, and no more once they hold 4 MB.
create or replace function chatstore.page_of_messages(
  session_id text, after_position bigint, after_id text, room integer,
  out messages json, out told integer, out last_position bigint, out last_id text
)
language plpgsql stable set search_path = '' as $$
begin
  select
    coalesce(json_agg(row_to_json(weighed.message) order by weighed.position, weighed.id), '[]'),
    count(*),
    (array_agg(weighed.position order by weighed.position desc, weighed.id desc))[1],
    (array_agg(weighed.id order by weighed.position desc, weighed.id desc))[1]
  into messages, told, last_position, last_id
  from (
    select
      message, message.position, message.id,
      sum(octet_length(message.content) + pg_column_size(message.metadata) + pg_column_size(message.extra)) over (
        order by message.position, message.id rows between unbounded preceding and 1 preceding
      ) as bytes_before
    from (
      select m.*
      from public.messages m
      where m.session_id = page_of_messages.session_id
        and (m.position, m.id) > (coalesce(after_position, -9223372036854775808), coalesce(after_id, ''))
      order by m.position, m.id
      limit room
    ) message
  ) weighed
  where coalesce(weighed.bytes_before, 0) < 4000000;
end;
$$;

create or replace function public.chatstore_messages(request text) returns text
language plpgsql stable set search_path = '' as $$
declare
  wanted jsonb := request::jsonb;
begin
  if not chatstore.is_visible(wanted ->> 'session_id', wanted ->> 'user_id') then
    return null;
  end if;
  return (
    select page.messages::text
    from chatstore.page_of_messages(
      wanted ->> 'session_id', (wanted ->> 'after')::bigint, wanted ->> 'after_id', (wanted ->> 'limit')::integer
    ) page
  );
end;
$$;

-- As a page of messages, but from the other end; still oldest first.
create or replace function public.chatstore_last_messages(request text) returns text
language plpgsql stable set search_path = '' as $$
declare
  wanted jsonb := request::jsonb;
begin
  if not chatstore.is_visible(wanted ->> 'session_id', wanted ->> 'user_id') then
    return null;
  end if;
  return (
    select coalesce(json_agg(weighed.message order by weighed.position, weighed.id), '[]')::text
    from (
      select
        message, message.position, message.id,
        sum(octet_length(message.content) + pg_column_size(message.metadata) + pg_column_size(message.extra)) over (
          order by message.position desc, message.id desc rows between unbounded preceding and 1 preceding
        ) as bytes_behind
      from (
        select m.*
        from public.messages m
        where m.session_id = wanted ->> 'session_id'
          and (
            wanted ->> 'before' is null
            or (m.position, m.id) < ((wanted ->> 'before')::bigint, wanted ->> 'before_id')
          )
        order by m.position desc, m.id desc
        limit (wanted ->> 'limit')::integer
      ) message
    ) weighed
    where coalesce(weighed.bytes_behind, 0) < 4000000
  );
end;
$$;

create or replace function public.chatstore_count_messages(request text) returns text
language plpgsql stable set search_path = '' as $$
declare
  wanted jsonb := request::jsonb;
begin
  if not chatstore.is_visible(wanted ->> 'session_id', wanted ->> 'user_id') then
    return null;
  end if;
  return (select count(*) from public.messages m where m.session_id = wanted ->> 'session_id')::text;
end;
$$;

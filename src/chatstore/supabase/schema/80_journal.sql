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

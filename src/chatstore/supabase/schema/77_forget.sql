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

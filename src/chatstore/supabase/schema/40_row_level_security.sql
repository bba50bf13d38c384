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

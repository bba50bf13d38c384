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

revoke all on all functions in schema chatstore from public, anon;
grant execute on all functions in schema chatstore to authenticated, service_role;
revoke execute on function chatstore.sweep_expired(integer) from authenticated;

grant execute on function
  public.chatstore_version(),
  public.chatstore_write(text),
  public.chatstore_session(text),
  public.chatstore_sessions(text),
  public.chatstore_messages(text),
  public.chatstore_last_messages(text),
  public.chatstore_count_messages(text)
to authenticated;

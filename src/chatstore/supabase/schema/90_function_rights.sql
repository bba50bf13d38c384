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

revoke all on all functions in schema chatstore from public, anon, authenticated;
grant execute on all functions in schema chatstore to service_role;

grant execute on function
  public.chatstore_version(),
  public.chatstore_write(text),
  public.chatstore_session(text),
  public.chatstore_sessions(text),
  public.chatstore_messages(text),
  public.chatstore_last_messages(text),
  public.chatstore_count_messages(text)
to authenticated;

-- What those call, with the rights of their caller. No request can name these.
grant execute on function
  chatstore.next_version(bigint),
  chatstore.is_visible(text, text),
  chatstore.weight(public.messages),
  chatstore.page_of_messages(text, bigint, text, integer),
  chatstore.lock_state(text, text),
  chatstore.greatest_version(text),
  chatstore.open_session(jsonb),
  chatstore.close_session(jsonb, bigint),
  chatstore.end_life(chatstore.session_states),
  chatstore.create_session(jsonb),
  chatstore.update_session(jsonb),
  chatstore.delete_session(jsonb),
  chatstore.append_messages(jsonb),
  chatstore.edit_message(jsonb),
  chatstore.remove_messages(jsonb),
  chatstore.clear_messages(jsonb),
  chatstore.add_marks(jsonb)
to authenticated;

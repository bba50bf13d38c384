-- What a hosted Supabase project has from the start and the lightweight server does not make by itself: the roles that
-- requests run as, what they may do in `public`, and the functions that policies call.
-- Running it again changes nothing.

do $$
begin
  if to_regrole('anon') is null then
    create role anon nologin noinherit;
  end if;
  if to_regrole('authenticated') is null then
    create role authenticated nologin noinherit;
  end if;
  if to_regrole('service_role') is null then
    create role service_role nologin noinherit bypassrls;
  end if;
  if to_regrole('supabase_lite') is null then
    create role supabase_lite login bypassrls;
  end if;
end
$$;

-- What the lightweight server logs in as. It grants everything in a schema to everybody as soon as one table of that
-- schema has row-level security; a hosted project does not, so a `revoke` of the schema's own must hold here too. This
-- role may read and write all, and become any of the three, but can grant nothing that is not its own.
grant anon, authenticated, service_role, pg_read_all_data, pg_write_all_data to supabase_lite;
grant create on database postgres to supabase_lite;

create schema if not exists extensions;
create schema if not exists auth authorization supabase_lite;

grant usage on schema public, extensions, auth to anon, authenticated, service_role;
grant all on all tables in schema public to anon, authenticated, service_role;
grant all on all routines in schema public to anon, authenticated, service_role;
grant all on all sequences in schema public to anon, authenticated, service_role;
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public grant all on routines to anon, authenticated, service_role;
alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;

-- The lightweight server defines these too, but only when it starts, and policies need them before that.
set local role supabase_lite;

do $$
begin
  if to_regprocedure('auth.jwt()') is null then
    create function auth.jwt() returns jsonb language sql stable
    as 'select coalesce(nullif(current_setting(''request.jwt.claims'', true), ''''), ''{}'')::jsonb';
  end if;
  if to_regprocedure('auth.role()') is null then
    create function auth.role() returns text language sql stable
    as 'select auth.jwt() ->> ''role''';
  end if;
  if to_regprocedure('auth.email()') is null then
    create function auth.email() returns text language sql stable
    as 'select auth.jwt() ->> ''email''';
  end if;
  if to_regprocedure('auth.uid()') is null then
    create function auth.uid() returns uuid language sql stable
    as 'select (auth.jwt() ->> ''sub'')::uuid';
  end if;
end
$$;

reset role;

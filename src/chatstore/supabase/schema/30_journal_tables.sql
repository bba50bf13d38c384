-- The journal of the new side, and what is remembered of the migration beside it.

create table if not exists chatstore.marks (
  token text collate "C" primary key,
  key text collate "C" not null,
  user_id text collate "C" not null,
  side text not null check (side in ('old', 'new')),
  op text not null,
  message_ids jsonb,
  at timestamptz not null,
  lease_until timestamptz,
  while_open boolean not null default false
);

create index if not exists marks_by_age on chatstore.marks (at, token);
create index if not exists marks_by_key on chatstore.marks (user_id, key);

create table if not exists chatstore.migration (
  only_one boolean primary key default true check (only_one),
  journal_open boolean not null default false,
  backfilled_at timestamptz,
  verified_at timestamptz,
  differed_at timestamptz,
  stage text,
  way_back_closed boolean not null default false
);

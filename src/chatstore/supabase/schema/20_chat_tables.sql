-- Sessions and messages. Ids sort by code point on both sides, hence the collation. Times stay in the years that clients
-- can hold.

create table if not exists public.sessions (
  id text collate "C" primary key,
  user_id text collate "C" not null,
  title text not null default '',
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  expires_at timestamptz,
  version bigint not null default chatstore.next_version(0),
  born bigint not null default chatstore.next_version(0),
  extra jsonb not null default '{}',
  check (created_at >= '0001-01-01 00:00+00' and created_at < '10000-01-01 00:00+00'),
  check (updated_at >= '0001-01-01 00:00+00' and updated_at < '10000-01-01 00:00+00'),
  check (expires_at >= '0001-01-01 00:00+00' and expires_at < '10000-01-01 00:00+00'),
  check (jsonb_typeof(metadata) = 'object' and jsonb_typeof(extra) = 'object')
);

create index if not exists sessions_by_recency on public.sessions (user_id, updated_at desc, id desc);

create table if not exists public.messages (
  session_id text collate "C" not null references public.sessions (id) on delete cascade,
  id text collate "C" not null,
  user_id text collate "C" not null,
  position bigint not null,
  role text not null,
  content text not null,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  version bigint not null default chatstore.next_version(0),
  extra jsonb not null default '{}',
  check (created_at >= '0001-01-01 00:00+00' and created_at < '10000-01-01 00:00+00'),
  check (jsonb_typeof(metadata) = 'object' and jsonb_typeof(extra) = 'object'),
  primary key (session_id, id)
);

-- Not among the columns above, so that it is also added where an older version of this schema was applied.
alter table public.messages add column if not exists expires_at timestamptz
  check (expires_at >= '0001-01-01 00:00+00' and expires_at < '10000-01-01 00:00+00');

create index if not exists messages_in_order on public.messages (session_id, position, id);

-- What the policy of the table asks: without it, whoever reads the table itself as a user reads all of it.
create index if not exists messages_by_user on public.messages (user_id);

-- What a sweep looks for. Where nothing expires they take no room.
create index if not exists sessions_by_expiry on public.sessions (expires_at) where expires_at is not null;
create index if not exists messages_by_expiry on public.messages (expires_at) where expires_at is not null;

-- What outlives a session: its greatest version, its deletions, the end of lives that expired (`lapsed` is more than the
-- `born` of each that is held no more), and the row that serialises the writes to it.
create table if not exists chatstore.session_states (
  session_id text collate "C" primary key,
  user_id text collate "C" not null,
  last bigint not null default 0,
  deleted bigint not null default 0,
  cleared bigint not null default 0
);

alter table chatstore.session_states add column if not exists lapsed bigint not null default 0;

create table if not exists chatstore.tombstones (
  session_id text collate "C" not null references chatstore.session_states (session_id),
  id text collate "C" not null,
  version bigint not null,
  primary key (session_id, id)
);

-- What was put of a session that the other side has a fingerprint of: the digest of what is then held, unless something
-- newer was here already or came since. It goes with the session.
create table if not exists chatstore.copied (
  session_id text collate "C" primary key references public.sessions (id) on delete cascade,
  fingerprint text not null,
  digest bytea not null,
  messages integer not null
);

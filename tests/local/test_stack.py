"""The stack's servers are real and answer as the hosted ones do."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
import redis

from chatstore.errors import ConfigurationError, UnavailableError
from chatstore.local import LocalStack, StackSettings, user_token
from chatstore.local.process import ProcessId

_NOTES = """
create table if not exists public.notes (id bigint generated always as identity, owner text not null, body text);
alter table public.notes enable row level security;
drop policy if exists own on public.notes;
create policy own on public.notes to authenticated
  using (((select auth.jwt()) ->> 'sub') = owner) with check (((select auth.jwt()) ->> 'sub') = owner);
create table if not exists public.closed (id int);
alter table public.closed enable row level security;
revoke all on public.closed from anon, authenticated;
create schema if not exists closed;
create table if not exists closed.inner (id int);
alter table closed.inner enable row level security;
"""


@pytest.fixture(scope="module")
def noted(new_data_folder: Callable[[], Path]) -> Iterator[LocalStack]:
    """A stack with a table that row-level security guards."""
    stack = LocalStack(new_data_folder())
    stack.start(_NOTES)
    yield stack
    stack.stop()


@pytest.fixture(autouse=True)
def whole(request: pytest.FixtureRequest) -> Iterator[None]:
    """Put right what a test of the module's stack left broken."""
    yield
    if "noted" in request.fixturenames:
        for server in request.getfixturevalue("noted").servers:
            server.start()


def rest(settings: StackSettings, method: str, path: str, token: str | None = None, **arguments) -> httpx.Response:
    headers = {"apikey": settings.supabase_publishable_key}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    url = f"{settings.supabase_url}/rest/v1/{path}"
    return httpx.request(method, url, headers=headers | arguments.pop("headers", {}), trust_env=False, **arguments)


def test_the_shared_stack_answers_on_every_url(stack: LocalStack, settings: StackSettings):
    with redis.Redis.from_url(settings.redis_url) as client:
        assert client.ping()
    with psycopg.connect(settings.supabase_db_url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    assert rest(settings, "GET", "", headers={"apikey": settings.supabase_secret_key}).status_code == 200
    assert rest(settings, "GET", "no_such_table").json()["code"] == "PGRST205"
    assert "nanosecond heartbeat" in httpx.get(f"{settings.chroma_url}/api/v2/heartbeat", trust_env=False).json()
    assert stack.dead() == []


def test_the_shared_stack_has_the_schema(settings: StackSettings):
    secret = {"apikey": settings.supabase_secret_key}
    assert rest(settings, "GET", "sessions?limit=1", headers=secret).status_code == 200


def test_a_redis_database_is_empty_and_not_the_first(redis_database: str, settings: StackSettings):
    assert redis_database != settings.redis_url
    with redis.Redis.from_url(redis_database) as client:
        assert client.dbsize() == 0


def test_a_user_sees_their_own_rows_only(noted: LocalStack):
    settings = noted.settings
    ada, bob = (user_token(settings.supabase_jwt_secret, user) for user in ("ada", "bob"))
    assert rest(settings, "POST", "notes", ada, json={"owner": "ada", "body": "mine"}).status_code == 201
    assert rest(settings, "POST", "notes", bob, json={"owner": "ada", "body": "forged"}).json()["code"] == "42501"
    assert [row["body"] for row in rest(settings, "GET", "notes", ada).json()] == ["mine"]
    assert rest(settings, "GET", "notes", bob).json() == []
    assert rest(settings, "GET", "notes").json() == []
    secret = {"apikey": settings.supabase_secret_key}
    assert [row["owner"] for row in rest(settings, "GET", "notes", headers=secret).json()] == ["ada"]


def test_what_a_schema_closes_stays_closed(noted: LocalStack):
    assert rest(noted.settings, "GET", "notes").status_code == 200  # with the first request, Lite grants what it can
    assert rest(noted.settings, "GET", "closed").json()["code"] == "42501"
    with psycopg.connect(noted.postgres.url) as connection:
        may = "select has_schema_privilege('anon', 'closed', 'usage'), has_table_privilege('anon', 'closed.inner', 'select')"
        assert connection.execute(may).fetchone() == (False, False)


@pytest.mark.parametrize("token", ["expired", "foreign"])
def test_a_token_that_is_not_good_is_refused(noted: LocalStack, token: str):
    good = noted.settings.supabase_jwt_secret
    tokens = {"expired": user_token(good, "ada", expires_in=-60), "foreign": user_token("x" * 64, "ada")}
    assert rest(noted.settings, "GET", "notes", tokens[token]).status_code == 401


def test_a_wrong_or_missing_key_is_refused(noted: LocalStack):
    assert rest(noted.settings, "GET", "notes", headers={"apikey": "sb_secret_guessed"}).status_code == 401
    assert httpx.get(f"{noted.settings.supabase_url}/rest/v1/notes", trust_env=False).status_code == 401


def test_postgres_wants_the_password(noted: LocalStack):
    url = noted.postgres.url.replace(noted._state.read().keys.postgres_password, "guessed")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)


def test_new_tables_are_seen_after_a_reload(noted: LocalStack):
    noted.postgres.execute("create table if not exists public.later (id int primary key)")
    assert rest(noted.settings, "GET", "later").status_code == 404
    before = noted.settings
    noted.reload_api()
    assert rest(noted.settings, "GET", "later").status_code == 200
    assert noted.settings == before


@pytest.mark.parametrize("name", ["redis", "postgres", "supabase", "chroma"])
def test_a_killed_server_comes_back_on_its_port(noted: LocalStack, name: str):
    server = getattr(noted, name)
    port = server.port
    server.kill()
    assert [dead.name for dead in noted.dead()] == [name]
    server.start()
    assert server.port == port
    assert noted.dead() == []


def test_the_api_survives_a_crash_of_postgres(noted: LocalStack):
    assert rest(noted.settings, "GET", "notes").status_code == 200
    noted.postgres.kill()
    assert rest(noted.settings, "GET", "notes").status_code == 500
    noted.postgres.start()
    assert rest(noted.settings, "GET", "notes").status_code == 200


def test_data_keys_and_ports_outlive_a_stop(noted: LocalStack):
    before = noted.settings
    with redis.Redis.from_url(before.redis_url) as client:
        client.set("kept", "yes")
    chroma = f"{before.chroma_url}/api/v2/tenants/default_tenant/databases/default_database/collections"
    httpx.post(chroma, json={"name": "kept", "get_or_create": True}, trust_env=False).raise_for_status()
    noted.postgres.execute("create table if not exists public.kept (id int)")
    assert noted.stop()
    assert not noted.stop()
    again = LocalStack(noted.data_dir)
    assert again.start(_NOTES) == before
    with redis.Redis.from_url(before.redis_url) as client:
        assert client.get("kept") == b"yes"
    assert [found["name"] for found in httpx.get(chroma, trust_env=False).json()] == ["kept"]
    assert rest(before, "GET", "kept").json() == []


def test_a_port_that_somebody_took_is_given_up(noted: LocalStack):
    noted.stop()
    taken = noted.redis.port
    with socket.create_server(("127.0.0.1", taken)):
        noted.start(_NOTES)
    assert noted.redis.port != taken
    assert noted.dead() == []


def test_a_server_that_may_not_move_waits_for_its_port(noted: LocalStack):
    noted.chroma.stop()
    port = noted.chroma.port
    holder = socket.create_server(("127.0.0.1", port))
    threading.Timer(0.5, holder.close).start()
    noted.chroma.start()
    assert noted.chroma.port == port
    assert noted.chroma.is_alive


def test_two_starts_at_once_make_one_stack(new_data_folder):
    folder = new_data_folder() / "made" / "by" / "it"
    stacks = [LocalStack(folder) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(LocalStack.start, stacks)
    try:
        assert first == second
        assert sorted(stack.found for stack in stacks) == [False, True]
    finally:
        stacks[0].stop()


def test_a_pid_that_belongs_to_somebody_else_by_now_is_never_killed(tmp_path):
    stack = LocalStack(tmp_path)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        stack._state.set_process("redis", ProcessId(stranger.pid, psutil.Process(stranger.pid).create_time() - 60))
        assert not stack.redis.is_alive
        stack.redis.kill()
        stack.stop()
        assert stranger.poll() is None
        stranger.communicate(b"\n")
    assert stranger.returncode == 0


def test_without_the_extra_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'chatstore\[local\]'"):
        LocalStack(tmp_path).start()


def test_an_unreadable_state_is_named(tmp_path):
    (tmp_path / "stack.json").write_text('{"format": 0}')
    with pytest.raises(ConfigurationError, match=r"stack\.json"):
        LocalStack(tmp_path).start()


def test_a_second_stack_finds_the_first(noted: LocalStack):
    second = LocalStack(noted.data_dir)
    assert second.start() == noted.settings
    assert second.found
    assert second.is_ours  # the same process holds both


def test_a_server_that_cannot_start_shows_its_log_without_secrets(noted: LocalStack):
    noted.redis.stop()
    appended = noted.data_dir / "redis" / "appendonlydir" / "appendonly.aof.manifest"
    good = appended.read_bytes()
    appended.write_text(f"nonsense {noted.settings.supabase_secret_key}\n")
    try:
        with pytest.raises(UnavailableError, match=r"redis\.log") as caught:
            noted.redis.start()
        assert "manifest" in str(caught.value)
        assert noted.settings.supabase_secret_key not in str(caught.value)
    finally:
        appended.write_bytes(good)


def test_a_schema_that_postgres_refuses_leaves_nothing_running(new_data_folder):
    stack = LocalStack(new_data_folder())
    with pytest.raises(ConfigurationError, match="refused the schema"):
        stack.start("create table public.broken (id nonsense)")
    assert not stack.is_running
    assert len(stack.dead()) == 4


def test_only_the_owner_can_read_the_keys(noted: LocalStack):
    assert stat.S_IMODE((noted.data_dir / "stack.json").stat().st_mode) == 0o600
    assert noted.settings.supabase_secret_key not in repr(noted.settings)

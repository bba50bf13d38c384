"""`chatstore verify --as-user`: what it says, and how it ends."""

import psycopg
import pytest

from chatstore.models import NewMessage, new_id
from chatstore.supabase import ServiceClient, SupabaseChat


@pytest.fixture
async def users(settings):
    """Two users, each with a session of one message."""
    client = ServiceClient.connect(settings.supabase_url, settings.supabase_secret_key)
    chat, head = SupabaseChat(client), new_id()
    found = {f"{head}\x1b[2J{name}": f"{head}-{name}" for name in ("ann", "ben")}
    for user, session_id in found.items():
        await chat.create_session(user, session_id=session_id)
        await chat.append(user, session_id, NewMessage("user", "a secret"))
    await client.close()
    return found


@pytest.fixture
def on_supabase(program, settings):
    """The program, with a Supabase project and without a Redis."""
    environment = settings.environment()
    program.set(**{name: value for name, value in environment.items() if name.startswith("SUPABASE")})
    return program


@pytest.fixture
def no_drafts(database_url, users):
    """A policy that hides one user's session."""
    [hidden, _] = users.values()
    with psycopg.connect(database_url, autocommit=True) as connection:
        try:
            connection.execute(
                'create policy "No drafts" on public.sessions as restrictive for select to authenticated'
                f" using (id <> '{hidden}')"
            )
            yield hidden
        finally:
            connection.execute('drop policy if exists "No drafts" on public.sessions')


def as_these(users):
    return ["--as-user", *(part for user in users for part in ("--user", user))]


def test_where_nothing_is_wrong_it_says_as_whom_it_read_and_what(on_supabase, users):
    done = on_supabase("verify", *as_these(users))
    assert (done.status, done.err) == (0, "")
    head, *visits = done.out.splitlines()
    assert "chat: read as 2 of " in head
    assert "each sees all of their own, and nothing else" in head
    assert sum("ok: 1 session and 1 message of their own" in line for line in visits) == 2
    assert "in public.messages, public.sessions," in done.out
    assert "\x1b" not in done.out
    assert "a secret" not in done.out


def test_what_a_policy_hides_is_listed_with_the_policy_and_ends_with_status_1(on_supabase, users, no_drafts):
    done = on_supabase("verify", *as_these(users))
    assert done.status == 1
    assert "something is wrong for 1 of them" in done.out
    assert f"hidden  public.sessions  1 row; sessions {no_drafts}" in done.out
    assert 'look at: public.sessions has a policy not of chatstore, "No drafts" (select, to authenticated)' in done.err
    assert "then: the same command again" in done.err


def test_in_json_it_is_one_object(on_supabase, users, no_drafts):
    done = on_supabase("verify", *as_these(users), "--json")
    assert done.status == 1
    chat = done.json["chat"]
    assert (chat["ok"], chat["users_checked"], len(chat["visits"])) == (False, 2, 5)
    [finding] = [finding for visit in chat["visits"] for finding in visit["findings"]]
    assert (finding["wrong"], finding["place"], finding["sessions"]) == ("hidden", "public.sessions", [no_drafts])
    assert [suspect["place"] for suspect in chat["suspects"]] == ["public.sessions"]


def test_users_are_drawn_and_the_old_side_is_asked_where_there_is_one(on_supabase, users, stack, redis_database):
    on_supabase.set(REDIS_URL=redis_database)
    first = on_supabase("verify", "--as-user", "--users", 1, "--seed", 3, "--json")
    assert first.status == 0, first.err
    chat = first.json["chat"]
    assert (chat["users_checked"], chat["seed"], chat["users"] >= 2) == (1, 3, True)
    # No backfill came to its end from there.
    assert chat["visits"][0]["old_sessions"] is None


def test_a_user_who_has_nothing_shows_nothing(on_supabase):
    done = on_supabase("verify", "--as-user", "--user", new_id())
    assert done.status == 2
    assert "nothing is shown by this" in done.err


def test_without_the_databases_url_it_says_what_is_needed(on_supabase, monkeypatch):
    monkeypatch.delenv("SUPABASE_DB_URL")
    done = on_supabase("verify", "--as-user")
    assert done.status == 2
    assert "SUPABASE_DB_URL is not set" in done.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--users", 5], "--users: only with --as-user"),
        (["--writes"], "--writes: only with --as-user"),
        (["--user", "ann", "--seed", 0], "--user and --seed: only with --as-user"),
        (["--as-user", "--documents"], "Chroma, with the documents, has none"),
        (["--as-user", "--report", "page.html"], "use --json to keep what was found"),
        (["--as-user", "--claims", "[1]"], "--claims is no JSON object"),
        (["--as-user", "--claims", "{"], "--claims is no JSON object"),
        (["--as-user", "--user", ""], "the user id is empty"),
    ],
)
def test_what_does_not_go_together_is_refused(on_supabase, options, says):
    done = on_supabase("verify", *options)
    assert done.status == 2
    assert says in done.err


def test_with_writes_it_tells_what_it_tried(on_supabase, users, database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        try:
            connection.execute("create policy gifts on public.sessions for insert to authenticated with check (true)")
            done = on_supabase("verify", *as_these(users), "--writes")
        finally:
            connection.execute("drop policy gifts on public.sessions")
    assert done.status == 1
    assert done.out.count("writable  public.sessions  to insert a session of another user") == 4
    assert '"gifts" (insert, to authenticated)' in done.err

"""Faults are made on real servers, and the commands of the page print what it says."""

import asyncio
import logging
import time
from pathlib import Path

import psycopg
import pytest
import redis

import chatstore
from chatstore.backends import Backends
from chatstore.models import Kind, utc_now
from chatstore.settings import load_settings
from tests.docs.page import PageError, blocks_of, compare
from tests.docs.quick import run_command

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "incident.md"
NOBODY = "127.0.0.1:9"


class Case:
    """A section of the page: its blocks, one after the other."""

    def __init__(self, heading):
        [section] = [part for part in PAGE.read_text().split("\n## ") if part.startswith(f"{heading}\n")]
        self._blocks = iter(blocks_of(section))
        self._where = f"incident.md, {heading}"

    def run(self):
        """Run the next block and compare what it prints."""
        command, text = next(self._blocks), next(self._blocks)
        assert (command.language, text.language) == ("bash", "text")
        printed = ""
        for line in command.text.splitlines():
            status, output = run_command(line.removesuffix(" || true"))
            printed += output
            if bool(status) != line.endswith(" || true"):
                raise PageError(f"{self._where}: {line} ended with status {status}\n{printed}")
        compare(text.text, printed, self._where)

    def log_line(self):
        """Return the next block, which is a line of an app's log."""
        return next(self._blocks).text.strip()


@pytest.fixture
def app(environment, folder, monkeypatch):
    """An app at dualwrite, after a verify."""
    del environment["CHROMA_URL"], environment["CHROMA_DATABASE"]
    for name, value in {**environment, "CHATSTORE_FLAG_FILE": str(folder / "flags.json"), "COLUMNS": "100"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    stage("dualwrite")
    asyncio.run(verified())
    return environment


async def verified():
    async with Backends(load_settings()) as backends:
        sides = await backends.chat_sides()
        for side in (sides.old, sides.new):
            await side.journal.remember(journal_open=True, backfilled_at=utc_now(), verified_at=utc_now())


def stage(name):
    status, printed = run_command(f"chatstore stage chat {name}")
    assert status == 0, printed


def write(session_id):
    with chatstore.open_blocking() as stores:
        stores.chat.create_session("ann", session_id=session_id)
        stores.chat.append("ann", session_id, chatstore.NewMessage("user", "Hello"))


def sql(statement):
    with psycopg.connect(load_settings().supabase_db_url.get_secret_value(), autocommit=True) as connection:
        connection.execute(statement)


@pytest.fixture
def client(environment):
    with redis.Redis.from_url(environment["REDIS_URL"]) as client:
        yield client


def away(monkeypatch, name, scheme):
    monkeypatch.setenv(name, f"{scheme}://{NOBODY}")


def write_meanwhile(session):
    with chatstore.open_blocking() as stores:
        stores.chat.append("ann", session, chatstore.NewMessage("user", "meanwhile"))


def test_supabase_is_down(app, monkeypatch):
    write("before")
    case = Case("Supabase or Chroma is down")
    with monkeypatch.context() as fault:
        away(fault, "SUPABASE_URL", "http")
        write_meanwhile("before")
        case.run()
    case.run()


def test_a_migration_that_makes_servers_slow_is_limited(app):
    Case("It is slow, or full").run()
    status, _ = run_command("chatstore limits --chat --none")
    assert status == 0


def test_redis_is_down_at_live(app, monkeypatch):
    write("before")
    stage("live")
    case = Case("Redis is down")
    with monkeypatch.context() as fault:
        away(fault, "REDIS_URL", "redis")
        write_meanwhile("before")
        case.run()
    case.run()


def test_a_mark_that_no_repair_clears(app, client, monkeypatch):
    write("broken")
    with monkeypatch.context() as fault:
        away(fault, "SUPABASE_URL", "http")
        write_meanwhile("broken")
    right = client.hget("session:broken", "createdAt")
    client.hset("session:broken", "createdAt", "yesterday")
    case = Case("Marks grow or stay")
    case.run()
    client.hset("session:broken", "createdAt", right)
    case.run()
    assert run_command("chatstore quarantine list --chat")[0] == 0


def test_another_program_changed_one_side(app, client):
    write("changed")
    client.hset("session:changed", "title", "by hand")
    Case("Verify finds differences").run()
    status, printed = run_command("chatstore stage chat live")
    assert (status, "differed from the old one" in printed) == (2, True)


def test_a_shadow_read_finds_a_mismatch(app, caplog):
    write("talk")
    stage("shadow")
    sql("delete from public.messages where session_id = 'talk'")
    case = Case("A mismatch")
    with caplog.at_level(logging.WARNING, "chatstore.routing"), chatstore.open_blocking() as stores:
        stores.chat.messages("ann", "talk")
        line = case.log_line()
        said(caplog, line)
    case.run()


def said(caplog, line):
    deadline = time.monotonic() + 30
    while line not in caplog.messages:
        assert time.monotonic() < deadline, caplog.messages
        time.sleep(0.05)


def test_a_migrate_that_was_killed_holds_its_lease(app):
    async def killed():
        async with Backends(load_settings()) as backends:
            await backends.progress(Kind.CHAT).acquire("backfill old to new on db-1 (pid 4711)", 30)

    asyncio.run(killed())
    case = Case("A migrate that does not go on")
    case.run()


def test_a_record_in_quarantine(app, client):
    client.set("session:odd", "x")
    assert run_command("chatstore migrate --chat")[0] == 1
    case = Case("Records in quarantine")
    case.run()
    client.delete("session:odd")
    case.run()


def test_a_policy_hides_a_users_own(app):
    write("talk")
    sql("create policy \"No drafts\" on public.sessions as restrictive for select to authenticated using (title <> '')")
    try:
        Case("A user sees the wrong records").run()
    finally:
        sql('drop policy "No drafts" on public.sessions')


def test_everybody_was_sent_to_complete(app):
    write("talk")
    stage("complete")
    with chatstore.open_blocking() as stores:
        stores.chat.append("ann", "talk", chatstore.NewMessage("user", "meanwhile"))
    case = Case("A wrong flag")
    case.run()
    case.run()


def test_the_schema_is_of_another_release(app):
    sql("alter function public.chatstore_version() rename to chatstore_version_of_tomorrow")
    try:
        Case("Another version was deployed").run()
    finally:
        sql("alter function public.chatstore_version_of_tomorrow() rename to chatstore_version")


def test_a_key_was_withdrawn(app, monkeypatch):
    monkeypatch.setenv("SUPABASE_SECRET_KEY", "sb_secret_" + "x" * 30)
    Case("A key leaked, or was changed").run()

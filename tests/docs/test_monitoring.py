"""The page's commands and queries run, and the queries find what an app did."""

from pathlib import Path

import psycopg
import pytest

import chatstore
from tests.docs.page import blocks_of
from tests.docs.quick import run_command, run_page_quickly

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "monitoring.md"
MESSAGES = 20


def queries():
    """Return the page's SQL, by the section in which it stands."""
    sections = PAGE.read_text().replace("\n### ", "\n## ").split("\n## ")
    return {
        section.splitlines()[0]: [block.text for block in blocks_of(section) if block.language == "sql"]
        for section in sections
    }


def write():
    status, printed = run_command("chatstore stage chat complete")
    assert status == 0, printed
    with chatstore.open_blocking() as stores:
        session = stores.chat.create_session("ann", session_id="talk")
        for number in range(MESSAGES):
            stores.chat.append("ann", session.id, chatstore.NewMessage("user", f"Hello {number}"))
        stores.chat.last_messages("ann", session.id, 5)


def test_the_commands_of_the_page(environment, folder, monkeypatch):
    environment["CHATSTORE_FLAG_FILE"] = str(folder / "flags.json")
    run_page_quickly(PAGE, environment, folder, monkeypatch)


@pytest.mark.timeout(300)
def test_the_queries_of_the_page_find_what_an_app_did(own_stack, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    own, asked = own_stack.settings, queries()
    for name, value in {**own.environment(), "CHATSTORE_FLAG_FILE": str(tmp_path / "flags.json")}.items():
        if not name.startswith("CHROMA"):
            monkeypatch.setenv(name, value)
    with psycopg.connect(own.supabase_db_url, autocommit=True) as connection:
        connection.execute("alter system set shared_preload_libraries = 'pg_stat_statements'")
    own_stack.postgres.restart()
    own_stack.supabase.restart()
    with psycopg.connect(own.supabase_db_url, autocommit=True) as connection:
        connection.execute("create extension pg_stat_statements")
        connection.execute("insert into chatstore.migration (journal_open, verified_at) values (true, now())")
        write()

        def found(section, number=0):
            return connection.execute(asked[section][number]).fetchall()

        assert {"public.messages", "public.sessions", "chatstore.marks"} <= {row[0] for row in found("Size")}
        connection.execute("select pg_stat_force_next_flush()")
        assert {"public.messages", "chatstore.session_states"} <= {row[0] for row in found("Rows that are dead")}
        connection.execute(asked["Rows that are dead"][1])
        assert "messages_in_order" in {row[1] for row in found("Indexes")}
        slow = {row[5]: row[0] for row in found("Slow queries")}
        assert max(calls for query, calls in slow.items() if "chatstore_write" in query) >= MESSAGES
        assert any("chatstore_last_messages" in query for query in slow)
        assert 0 < sum(row[2] for row in found("Marks")) <= MESSAGES + 1
        with psycopg.connect(own.supabase_db_url) as waiting:
            waiting.execute("select 1")
            assert [row[2] for row in found("Who waits for whom")] == ["idle in transaction"]

"""What a page finds when its reader begins: the servers, and nothing on them."""

import psycopg
import pytest

from tests.conformance.factories.chroma import new_database


@pytest.fixture
def empty_supabase(database_url):
    """Other tests' sessions, and what is recorded of their migrations, are no reader's."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        tables = "public.sessions, public.messages, chatstore.session_states, chatstore.tombstones, chatstore.copied"
        connection.execute(f"truncate {tables}, chatstore.marks, chatstore.migration cascade")


@pytest.fixture
def environment(settings, redis_database, empty_supabase):
    """The settings of the stack, with an empty Redis, Supabase and Chroma: for `run_page`."""
    return {
        **settings.environment(),
        "REDIS_URL": redis_database,
        "CHROMA_DATABASE": new_database(settings.chroma_url),
    }


@pytest.fixture
def folder(tmp_path):
    """An empty folder: for `run_page`."""
    made = tmp_path / "reader"
    made.mkdir()
    return made

"""What end-to-end tests need beside the stack: a new side on which nothing lies and nothing is recorded."""

import psycopg
import pytest

from chatstore.backends import Backends
from chatstore.settings import load_settings


@pytest.fixture
def empty_supabase(database_url):
    """Other tests' sessions would be records that the old side lacks."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("truncate public.sessions, public.messages, chatstore.session_states cascade")
        connection.execute("delete from chatstore.marks")


@pytest.fixture(autouse=True)
async def nothing_is_recorded(settings):
    """The new sides are shared with other tests, and with them what is recorded of their migrations."""
    recorded = load_settings(
        supabase_url=settings.supabase_url,
        supabase_secret_key=settings.supabase_secret_key,
        chroma_url=settings.chroma_url,
    )
    async with Backends(recorded) as backends:
        for side in (await backends.new_chat(), await backends.new_documents()):
            await side.journal.forget_state()

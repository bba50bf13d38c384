"""The page on a hosted project is run as it says, with the local server; its migration file makes a project of today."""

from pathlib import Path

import psycopg
import pytest

from chatstore.supabase.schema import SCHEMA_VERSION
from tests.docs.page import blocks_of
from tests.docs.quick import run_page_quickly
from tests.supabase.projects import bare_project

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "hosted-supabase.md"


@pytest.fixture
def project_without_default_grants(database_url):
    """The URL of a database as a project has it since Supabase grants new tables and functions to nobody."""
    with bare_project(database_url) as url:
        with psycopg.connect(url) as database:
            for what in ("tables", "functions", "sequences"):
                database.execute(
                    f"alter default privileges in schema public revoke all on {what} "
                    "from anon, authenticated, service_role"
                )
        yield url


@pytest.mark.timeout(300)  # several programs, one after the other, on a machine that others use, too
def test_a_project_is_set_up_as_the_page_says(environment, folder, monkeypatch, project_without_default_grants):
    without_documents = {name: value for name, value in environment.items() if not name.startswith("CHROMA_")}
    run_page_quickly(PAGE, without_documents, folder, monkeypatch)

    (file,) = (folder / "supabase" / "migrations").iterdir()
    with psycopg.connect(project_without_default_grants) as database:
        database.execute(file.read_bytes())
        database.execute("set local role service_role")
        assert database.execute("select public.chatstore_version()").fetchone() == (SCHEMA_VERSION,)
        database.execute("insert into public.sessions (id, user_id) values ('s', 'u')")
        database.execute("set local role anon")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            database.execute("select count(*) from public.sessions")


def test_what_is_not_run_says_what_it_needs():
    assert [block.not_run for block in blocks_of(PAGE.read_text()) if block.not_run] == [
        "needs Supabase's command line, and a project that is linked"
    ]

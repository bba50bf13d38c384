import psycopg
import pytest

from chatstore.identity import TokenVerifier
from tests.identity.issuer import APP, running_issuer


@pytest.fixture
def issuer():
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def verifier(issuer):
    return TokenVerifier(issuer.url, parties=[APP])


@pytest.fixture
def empty_supabase(database_url):
    """Other tests' sessions would be records that the old side lacks."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("truncate public.sessions, public.messages, chatstore.session_states cascade")
        connection.execute("delete from chatstore.marks")
        connection.execute("delete from chatstore.migration")

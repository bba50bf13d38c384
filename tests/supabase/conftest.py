from datetime import timedelta

import httpx
import pytest
from supabase import AsyncClient, AsyncClientOptions

from chatstore.identity.user_token import user_token
from chatstore.models import utc_now
from chatstore.supabase import ServiceClient, SupabaseChat, SupabaseClient, SupabaseJournal, UserClient
from chatstore.supabase.client import SchemaCheck
from tests.supabase.projects import new_project


@pytest.fixture
async def client(settings):
    """A client with the secret key."""
    made = ServiceClient.connect(settings.supabase_url, settings.supabase_secret_key)
    yield made
    await made.close()


@pytest.fixture
async def public(settings):
    """A client of the library's with the publishable key: what an app gives its users."""
    async with httpx.AsyncClient(trust_env=False) as session:
        options = AsyncClientOptions(httpx_client=session)
        yield AsyncClient(settings.supabase_url, settings.supabase_publishable_key, options)


@pytest.fixture
def public_client(public):
    """What asks with the publishable key alone. None of chatstore's clients does."""
    key = public.supabase_key
    return SupabaseClient(public, api_key=key, bearer=key, schema=SchemaCheck())


@pytest.fixture
def user_client(public, token_for):
    """A function that makes a client with a user's own token and the publishable key; see `token_for`."""

    def client(user, **options):
        # Whatever the token is: that Supabase refuses it, too, is for tests to show.
        token = user_token(user, utc_now() + timedelta(hours=1), token_for(user, **options))
        return UserClient(public, token, publishable_key=public.supabase_key)

    return client


class Careless(SupabaseChat):
    """A store that compares no ids and asks everything with one client: what keeps users apart is the database alone."""

    def __init__(self, client):
        self._client = self._bulk = client
        self.journal = object.__new__(SupabaseJournal)
        self.journal._client = client

    async def _acting(self, user_id):
        return self._client


@pytest.fixture
def careless():
    """The class of such stores."""
    return Careless


@pytest.fixture
def chat(client):
    return SupabaseChat(client)


@pytest.fixture(scope="session")
def project(database_url):
    """The URL of a database like a new Supabase project's, with chatstore's schema, to which no API leads.

    Whoever writes to it undoes it: roll back.
    """
    with new_project(database_url) as url:
        yield url

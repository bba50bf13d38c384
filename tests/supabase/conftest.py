import pytest

from chatstore.supabase import SupabaseChat, SupabaseClient


@pytest.fixture
async def client(settings):
    """A client with the secret key."""
    made = SupabaseClient.connect(settings.supabase_url, settings.supabase_secret_key)
    yield made
    await made.close()


@pytest.fixture
async def public_client(settings):
    """A client with the publishable key: what an app's users may see."""
    made = SupabaseClient.connect(settings.supabase_url, settings.supabase_publishable_key)
    yield made
    await made.close()


@pytest.fixture
def chat(client):
    return SupabaseChat(client)

"""Supabase, with the secret key, and with users' own tokens for what an app asks."""

from contextlib import asynccontextmanager

from chatstore.supabase import SupabaseChat, SupabaseClient


@asynccontextmanager
async def _with_the_secret_key(request):
    settings = request.getfixturevalue("settings")
    client = SupabaseClient.connect(settings.supabase_url, settings.supabase_secret_key)
    yield SupabaseChat(client)
    await client.close()


@asynccontextmanager
async def _with_users_tokens(request):
    settings = request.getfixturevalue("settings")
    token_for = request.getfixturevalue("token_for")
    client = SupabaseClient.connect(settings.supabase_url, settings.supabase_secret_key)

    async def token_of(user_id):
        return token_for(user_id)

    yield SupabaseChat(client, token_of=token_of)
    await client.close()


CHAT = {"supabase": _with_the_secret_key, "supabase-rls": _with_users_tokens}

"""Supabase, with the secret key, and with users' own tokens for what an app asks."""

from contextlib import asynccontextmanager

import psycopg

from chatstore.supabase import ServiceClient, SupabaseChat, SupabaseDatabase


@asynccontextmanager
async def _with_the_secret_key(request):
    async with _empty(request) as client:
        yield SupabaseChat(client)


@asynccontextmanager
async def _with_the_database(request):
    async with _empty(request) as client:
        database = SupabaseDatabase(request.getfixturevalue("settings").supabase_db_url, client)
        yield SupabaseChat(client, bulk=database)
        await database.close()


@asynccontextmanager
async def _with_users_tokens(request):
    token_for = request.getfixturevalue("token_for")

    async def token_of(user_id):
        return token_for(user_id)

    async with _empty(request) as client:
        yield SupabaseChat(client, token_of=token_of)


@asynccontextmanager
async def _empty(request):
    settings = request.getfixturevalue("settings")
    async with await psycopg.AsyncConnection.connect(settings.supabase_db_url) as connection:
        for table in (
            "public.sessions",
            "chatstore.tombstones",
            "chatstore.session_states",
            "chatstore.marks",
            "chatstore.migration",
        ):
            await connection.execute(f"delete from {table}")
    client = ServiceClient.connect(settings.supabase_url, settings.supabase_secret_key)
    yield client
    await client.close()


CHAT = {"supabase": _with_the_secret_key, "supabase-database": _with_the_database, "supabase-rls": _with_users_tokens}

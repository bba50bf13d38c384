"""Three times as much to migrate needs no more memory: `benchmarks.memory`, of less."""

import pytest

from benchmarks.memory import compared

FEW, MANY = 12_000, 36_000
"""Already with the fewer, all batches that are under way at once are whole."""


@pytest.mark.timeout(240)
async def test_three_times_as_many_messages_need_no_more_memory(settings, redis_database):
    environment = {
        "REDIS_URL": redis_database,
        "SUPABASE_URL": settings.supabase_url,
        "SUPABASE_SECRET_KEY": settings.supabase_secret_key,
        "SUPABASE_DB_URL": settings.supabase_db_url,
    }
    for row in await compared(environment, FEW, MANY):
        assert row.met, row

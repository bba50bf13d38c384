"""The Redis in which the SDK's sessions lie."""

import pytest
from redis.asyncio import Redis


@pytest.fixture
def layout_name():
    return "openai-agents"


@pytest.fixture
async def sdk_redis(redis_database):
    async with Redis.from_url(redis_database) as client:
        yield client

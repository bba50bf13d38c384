"""Two processes' stores on real servers, a user's data on them, and what looks at all that the servers hold."""

import pytest

from chatstore.backends import Backends
from chatstore.settings import load_settings
from tests.conformance.factories.chroma import new_database
from tests.forget.places import Places


@pytest.fixture
def own(redis_database, settings):
    """Settings that name databases of this test's own; Supabase is shared with other tests."""
    return load_settings(
        redis_url=redis_database,
        supabase_url=settings.supabase_url,
        supabase_secret_key=settings.supabase_secret_key,
        chroma_url=settings.chroma_url,
        chroma_database=new_database(settings.chroma_url),
    )


@pytest.fixture
async def app(own):
    """The stores of an app's process."""
    async with Backends(own) as backends:
        yield backends


@pytest.fixture
async def other(own):
    """The stores of another process, with connections of its own."""
    async with Backends(own) as backends:
        yield backends


@pytest.fixture
def user(namespace):
    return f"{namespace}|ana"


@pytest.fixture
async def places(app, own, database_url, user):
    """All that the servers hold, whoever looks at it."""
    async with Places.of(app, own, database_url, user) as all_there_is:
        yield all_there_is

"""A router between a Redis in which a framework's sessions lie and a Supabase, for one user."""

import pytest

from chatstore.models import Side, utc_now
from chatstore.ownership import load_owners
from chatstore.redis import RedisChat, chat_layout, connect
from chatstore.routing import Sides
from chatstore.supabase import ServiceClient, SupabaseChat
from tests.flags import Flags
from tests.routing.pair import router_over


@pytest.fixture
async def sides(layout_name, redis_database, settings, namespace):
    """Both sides; the sessions of this Redis, in the suite's layout, are those of the user named as the test's namespace."""
    layout = chat_layout(layout_name, owners=load_owners(f"all:{namespace}"))
    supabase = ServiceClient.connect(settings.supabase_url, settings.supabase_secret_key)
    async with connect(redis_database) as client:
        both = Sides(RedisChat(client, layout), SupabaseChat(supabase))
        for side in Side:
            await both[side].journal.forget_state()
            await both[side].journal.remember(verified_at=utc_now(), journal_open=True)
        yield both
        await both.new.journal.forget_state()
    await supabase.close()


@pytest.fixture
def flags():
    return Flags()


@pytest.fixture
async def chat(sides, flags):
    router = router_over(sides, flags)
    yield router
    await router.replicator.close()
    await router.shadow.close()
    await router.stages.close()

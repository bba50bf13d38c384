"""Both sides on real servers, whose every request can be broken."""

import pytest

from chatstore.migration import pace
from chatstore.models import Side, utc_now
from chatstore.redis import connect
from chatstore.routing import Sides
from tests.conformance.registry import named
from tests.faults.requests import breakable

LONG = 3600.0


@pytest.fixture
async def chat_sides(request):
    """Redis in the layout `hash`, and Supabase; a migration is under way and verified."""
    async with named("CHAT")["redis-hash"](request) as old, named("CHAT")["supabase"](request) as new:
        await new.count()  # Supabase's lightweight server cannot take its first two requests at once.
        with breakable():
            yield await _verified(Sides(old, new))


@pytest.fixture
async def document_sides(request):
    """Redis in the layout `hash`, and Chroma; a migration is under way and verified."""
    async with named("DOCUMENTS")["redis-hash"](request) as old, named("DOCUMENTS")["chroma-server"](request) as new:
        with breakable():
            yield await _verified(Sides(old, new))


@pytest.fixture
def not_by_the_clock(monkeypatch):
    """A run makes no requests because time passes, so that each run of it makes the same ones."""
    for every in ("_POLLED_EVERY", "_PROBED_EVERY"):
        monkeypatch.setattr(pace, every, LONG)


@pytest.fixture
async def redis(redis_database):
    async with connect(redis_database) as client:
        yield client


async def _verified(sides):
    for side in Side:
        await sides[side].journal.remember(journal_open=True, verified_at=utc_now())
    return sides

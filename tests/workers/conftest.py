"""A migration on real servers whose batches other processes copy."""

import secrets
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import chromadb
import pytest

from chatstore.backends import Backends
from chatstore.migration import BackfillOptions, Patience, backfill_chat, verify_chat
from chatstore.models import Kind
from chatstore.routing import chat_repairer
from chatstore.settings import load_settings
from chatstore.workers import Recipe, close_workers
from tests.conformance.registry import named
from tests.migration.doubles import chat_content, legacy_session

SESSIONS = 120


@dataclass
class Migration:
    """Two sides, and a migration between them in small batches."""

    backends: Backends
    sides: object
    events: list = field(default_factory=list)

    @property
    def recipe(self):
        return Recipe.of(self.backends)

    async def fill(self, sessions=SESSIONS):
        await self.sides.old.put([_session(number) for number in range(sessions)])

    async def run(self, runner, *, when_moving=None, after=1, batch=4):
        """Copy everything; `when_moving` is called once, when so many records have been copied."""
        waiting = [when_moving] if when_moving else []

        def told(event):
            self.events.append(event)
            if waiting and event.done >= after:
                waiting.pop()()

        patience = Patience(first=0.05, longest=0.5, limit=60)
        report = await backfill_chat(
            self.sides.old,
            self.sides.new,
            self.backends.progress(Kind.CHAT),
            repair=chat_repairer(self.sides).run,
            on_progress=told,
            options=BackfillOptions(batch=batch, at_once=4, patience=patience),
            runner=runner,
        )
        assert not waiting, "it was over before anything could happen"
        return report

    async def check_equal(self, sessions=SESSIONS):
        """Both sides hold the same, and it is all there."""
        report = await verify_chat(
            self.sides.old, self.sides.new, self.backends.progress(Kind.CHAT), repair=chat_repairer(self.sides).run
        )
        assert report.differences == ()
        content = await chat_content(self.sides.new)
        assert content == await chat_content(self.sides.old)
        assert (await self.sides.new.count()).sessions == sessions


def _session(number):
    session = legacy_session(f"s{number}", *map(str, range(5)))
    # In the layout `hash` all messages of all sessions lie in one place.
    return replace(session, messages=tuple(replace(m, id=f"s{number}.{m.id}") for m in session.messages))


@pytest.fixture
def chroma_database(settings):
    """A database of its own: that of the other tests holds what they left."""
    place = urlsplit(settings.chroma_url)
    at = {"chroma_server_host": place.hostname, "chroma_server_http_port": place.port}
    admin = chromadb.AdminClient(chromadb.Settings(chroma_api_impl="chromadb.api.fastapi.FastAPI", **at))
    name = f"workers_{secrets.token_hex(8)}"
    admin.create_database(name)
    yield name
    admin.delete_database(name)


@pytest.fixture
def settings_of_sides(settings, redis_database, chroma_database):
    return load_settings(
        _env_file=None,
        redis_url=redis_database,
        supabase_url=settings.supabase_url,
        supabase_secret_key=settings.supabase_secret_key,
        chroma_url=settings.chroma_url,
        chroma_database=chroma_database,
    )


@pytest.fixture
async def migration(request, settings_of_sides):
    async with named("CHAT")["supabase"](request), Backends(settings_of_sides) as backends:
        yield Migration(backends, await backends.chat_sides())
    close_workers()

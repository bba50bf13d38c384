"""The app as a server on a free port, over the stack's real servers, and what the old app had left in Redis."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count

import httpx
import psycopg
import pytest
import redis
import uvicorn
from playwright.async_api import async_playwright

from chatstore.settings import load_settings
from examples.app.embedder import make_embedder
from examples.app.main import create_app
from examples.app.settings import AppSettings
from tests.conformance.factories.chroma import new_database
from tests.example_app.pages import ARGUMENTS, CHROMIUM


@dataclass
class Site:
    """The app, served.

    Attributes:
        url: Where.
    """

    url: str

    async def token(self, user_id):
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as http:
            return (await http.post("/dev/token", json={"user_id": user_id}, headers={"Origin": self.url})).json()[
                "token"
            ]

    @asynccontextmanager
    async def as_user(self, user_id):
        """A program that calls the API with a user's token."""
        headers = {"Authorization": f"Bearer {await self.token(user_id)}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, trust_env=False, timeout=60) as http:
            yield http


@asynccontextmanager
async def listening(make_app):
    """Serve what a function from a URL makes, on a free port; gives the URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(make_app(url), log_level="warning", timeout_graceful_shutdown=5))
        serving = asyncio.create_task(server.serve(sockets=[free]))
        try:
            while not server.started:
                assert not serving.done(), "the app did not start"
                await asyncio.sleep(0.01)
            yield url
        finally:
            server.should_exit = True
            await serving


@asynccontextmanager
async def served(settings, own, local_secret):
    """Serve the app on a free port."""
    async with listening(lambda url: create_app(settings, own, url, local_secret)) as url:
        yield Site(url)


@pytest.fixture
def own_settings(monkeypatch, tmp_path):
    """The app's own settings, whatever the environment of whoever runs the tests says."""
    monkeypatch.chdir(tmp_path)
    return AppSettings(_env_file=None, upload_limit=200_000)


@pytest.fixture
def app_settings(redis_database, settings, monkeypatch, tmp_path):
    """Both sides of both kinds; with a flag file, in which nothing is moved yet."""
    given = settings.environment() | {
        "REDIS_URL": redis_database,
        "CHROMA_DATABASE": new_database(settings.chroma_url),
        "CHATSTORE_FLAG_FILE": str(tmp_path / "flags.json"),
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return load_settings


@pytest.fixture
def empty_supabase(database_url):
    """Other tests' sessions would be records that the old side lacks."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("truncate public.sessions, public.messages, chatstore.session_states cascade")
        connection.execute("delete from chatstore.marks")
        connection.execute("delete from chatstore.migration")


@pytest.fixture
async def site(redis_database, own_settings):
    """The app as it is adopted: over the old app's Redis alone."""
    given = load_settings(redis_url=redis_database, _env_file=None)
    async with served(given, own_settings, None) as site:
        yield site


class OldApp:
    """Writes Redis as the old app did, chatstore not being involved: the layout `hash`."""

    def __init__(self, url):
        self._url = url
        self._number = count()

    async def conversation(self, session_id, user_id, title, *said):
        ids = [f"{session_id}-m{number}" for number in range(len(said))]
        with redis.Redis.from_url(self._url) as client:
            number = next(self._number)
            times = {"createdAt": 1_700_000_000_123 + number, "updatedAt": 1_700_000_100_456 + number}
            session = {"userId": user_id, "title": title, "messageIds": json.dumps(ids), "metadata": "{}"}
            client.hset(f"session:{session_id}", mapping={**session, **times})
            for place, content in enumerate(said):
                message = {"sessionId": session_id, "role": ("user", "assistant")[place % 2], "content": content}
                message |= {"metadata": "{}", "createdAt": 1_700_000_000_000 + place}
                client.hset(f"message:{ids[place]}", mapping=message)

    async def document(self, document_id, user_id, title, text, embedding=None):
        if embedding is None:
            [embedding] = await make_embedder("words")([text])
        with redis.Redis.from_url(self._url) as client:
            document = {"title": title, "content": text, "url": "", "userId": user_id, "metadata": "{}"}
            document |= {"embedding": json.dumps(list(embedding))}
            times = {"createdAt": 1_700_000_000_123, "updatedAt": 1_700_000_100_123 + next(self._number)}
            client.hset(f"document:{document_id}", mapping={**document, **times})


@pytest.fixture
def old_app(redis_database):
    return OldApp(redis_database)


@pytest.fixture(scope="package")
async def browser():
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()

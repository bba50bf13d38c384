"""The local stack that the tests of a process share, and what keeps their data apart.

Each of pytest-xdist's workers has a stack of its own: some tests change what all the others on a stack would see, as its
policies. It starts when it is first needed.
"""

from __future__ import annotations

import gc
import itertools
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import redis

from chatstore.local import LocalStack, StackSettings, user_token
from chatstore.local.valkey import DATABASES
from chatstore.supabase.schema import schema_sql

pytest_plugins = [
    "tests.leaks",
    "tests.servers.redis_cluster",
    "tests.servers.search_redis",
    "tests.frameworks.fixtures",
]

_FOLDER = pytest.StashKey[str]()
_database_counter = itertools.count()


# CI judges a change: what it draws must not differ from run to run. Everybody else's runs look further.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FOLDER] = tempfile.mkdtemp(prefix="chatstore-tests-")


def pytest_collection_finish() -> None:
    # Else each full collection goes through all that the imports and ten thousand tests are made of, which takes half a
    # second, and holds up whatever a test measures.
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    LocalStack(config.stash[_FOLDER]).stop()
    shutil.rmtree(config.stash[_FOLDER], ignore_errors=True)


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config) -> LocalStack:
    """The session's stack, with chatstore's schema. Tests that kill servers need one of their own: `own_stack`."""
    shared = LocalStack(pytestconfig.stash[_FOLDER])
    shared.start(schema_sql(), detached=True)
    return shared


@pytest.fixture(scope="session")
def new_data_folder() -> Iterator[Callable[[], Path]]:
    """A function that makes an empty folder for a stack of a test's own.

    Not below `tmp_path`: pytest closes the folder above that to other accounts whenever a session starts, and Postgres
    runs as another account where the tests are run by root.
    """
    folders = []

    def new() -> Path:
        folders.append(Path(tempfile.mkdtemp(prefix="chatstore-test-")))
        return folders[-1]

    yield new
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def own_stack(new_data_folder: Callable[[], Path]) -> Iterator[LocalStack]:
    """A stack that no other test uses, with chatstore's schema: its servers may be killed and restarted."""
    with_schema = LocalStack(new_data_folder())
    with_schema.start(schema_sql())
    yield with_schema
    with_schema.stop()


@pytest.fixture(scope="session")
def settings(stack: LocalStack) -> StackSettings:
    """Where the servers are, and the keys."""
    return stack.settings


@pytest.fixture(scope="session")
def chroma_url(settings: StackSettings) -> str:
    return settings.chroma_url


@pytest.fixture(scope="session")
def database_url(settings: StackSettings) -> str:
    """The Postgres database, as its superuser."""
    return settings.supabase_db_url


@pytest.fixture
def namespace() -> str:
    """A short text that no other test has: make user and session ids from it."""
    return f"t{secrets.token_hex(6)}"


@pytest.fixture
def redis_database(stack: LocalStack) -> str:
    """The URL of a logical database that is empty and that no other running test uses.

    The layouts have fixed key names, so a namespace is not enough to keep two tests apart.
    """
    return empty_database(stack)


@pytest.fixture
def other_redis_database(stack: LocalStack) -> str:
    """The URL of a second one."""
    return empty_database(stack)


def empty_database(stack: LocalStack) -> str:
    """Return the URL of a logical database that is empty and that no other running test uses."""
    url = stack.redis.database_url(_next_database())
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture(scope="session")
def token_for(settings: StackSettings) -> Callable[..., str]:
    """A function that makes a user's token: `token_for("user id")`; see `user_token` for what else it takes."""

    def token(user_id: str, *, role: str = "authenticated", expires_in: float = 3600) -> str:
        return user_token(settings.supabase_jwt_secret, user_id, role=role, expires_in=expires_in)

    return token


def _next_database() -> int:
    """Return the number of the next database; 0 is nobody's. They come round after a while."""
    return 1 + next(_database_counter) % (DATABASES - 1)

"""Servers of this folder's own: its tests make them refuse, and nobody else's tests may see that."""

from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest
import redis

from chatstore.local import LocalStack
from chatstore.supabase.schema import schema_sql


@dataclass(frozen=True)
class Servers:
    """Where the servers of this folder are."""

    stack: LocalStack
    redis: str
    supabase: str
    secret_key: str
    database: str
    chroma: str


@pytest.fixture(scope="package")
def network_stack(new_data_folder):
    stack = LocalStack(new_data_folder())
    stack.start(schema_sql())
    yield stack
    stack.stop()


@pytest.fixture(autouse=True)
def no_long_leases(monkeypatch):
    """A merge that failed leaves its announcement, for what it sent may come late: here, nothing is late for long."""
    monkeypatch.setattr("chatstore.routing.merge.ANNOUNCEMENT", timedelta(seconds=0.5))


@pytest.fixture
def servers(network_stack):
    """The servers, with nothing on them."""
    at = network_stack.settings
    with redis.Redis.from_url(at.redis_url) as client:
        client.flushall()
    with psycopg.connect(at.supabase_db_url, autocommit=True) as connection:
        connection.execute(
            "truncate public.sessions, public.messages, chatstore.session_states, chatstore.tombstones, "
            "chatstore.marks, chatstore.migration cascade"
        )
    return Servers(
        network_stack, at.redis_url, at.supabase_url, at.supabase_secret_key, at.supabase_db_url, at.chroma_url
    )

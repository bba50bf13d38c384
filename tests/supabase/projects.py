"""Databases of a test's own on the stack's Postgres, each as a new Supabase project's."""

import importlib.resources
import secrets
from contextlib import contextmanager

import psycopg

from chatstore.supabase import apply_schema


@contextmanager
def new_project(database_url, older_schema=None):
    """Make a database with the roles, grants and functions of a new project, and with chatstore's schema; drop it after.

    Args:
        database_url: Any database of the server, as its superuser.
        older_schema: What it has in the place of the schema of this release.

    Yields:
        The new one's URL, as the superuser.
    """
    with bare_project(database_url) as url:
        if older_schema is None:
            apply_schema(url)
        else:
            with psycopg.connect(url) as database:
                database.execute(older_schema)
        yield url


@contextmanager
def bare_project(database_url):
    """Make a database as `new_project` does, without chatstore's schema."""
    name = f"project_{secrets.token_hex(4)}"
    url = f"{database_url.rpartition('/')[0]}/{name}"
    roles = importlib.resources.files("chatstore.local").joinpath("roles.sql").read_bytes()
    with psycopg.connect(database_url, autocommit=True) as server:
        server.execute(f"create database {name}")
        try:
            with psycopg.connect(url) as database:
                database.execute(roles)
            yield url
        finally:
            server.execute(f"drop database {name} with (force)")

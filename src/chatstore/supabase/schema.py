"""The schema in Supabase's Postgres: its text, and how it is applied."""

from __future__ import annotations

import importlib.resources
import random
import time
from typing import Final

import psycopg

from chatstore.errors import ChatStoreError, ConfigurationError, SchemaError, UnavailableError
from chatstore.supabase.translation import tellable_database_error, without_quotes

SCHEMA_VERSION = 3
"""What `chatstore_version()` answers in a database whose schema this release works with."""


_ATTEMPTS = 10
# What Postgres says when others have locks on our tables: a deadlock, and that we waited for long enough.
_HELD_BY_OTHERS: Final = frozenset({"40P01", "55P03"})


def check_version(version: int) -> None:
    """Check that a database has the schema that this release works with.

    Raises:
        SchemaError: It has another version of it; the message says what to do.
    """
    if version != SCHEMA_VERSION:
        newer = "upgrade chatstore" if version > SCHEMA_VERSION else "run `chatstore schema --apply`"
        raise SchemaError(
            f"chatstore's schema in the database is version {version}; this release needs {SCHEMA_VERSION}: {newer}"
        )


def schema_sql() -> str:
    """Return the SQL that brings a Supabase project's database to this release's schema.

    It may be run any number of times, on a new project or over an older version. It has no transaction of its own:
    run it in one.
    """
    return "\n".join(schema_files().values())


def schema_files() -> dict[str, str]:
    """Return the parts of the schema, by file name, in the order in which they are to be run."""
    folder = importlib.resources.files(__package__) / "schema"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return {file.name: file.read_text(encoding="utf-8") for file in files}


def apply_schema(db_url: str) -> None:
    """Bring a database to this release's schema, in one transaction, and have the API read it again.

    Apps may be at work on its tables: their calls wait for it, a second at most. When the tables are not to be had in
    that time, it gives way and tries again.

    Args:
        db_url: `SUPABASE_DB_URL`, of a role that owns the schema `public`, as Supabase's `postgres` does.

    Raises:
        ConfigurationError: The URL is malformed.
        SchemaError: Postgres refused it, say because `public.sessions` is there already with other columns.
        UnavailableError: The database could not be reached, or others hold its tables for too long.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _apply(db_url)
        except psycopg.Error as error:
            if error.sqlstate in _HELD_BY_OTHERS and attempt < _ATTEMPTS:
                time.sleep(random.uniform(0.1, 0.3 * attempt))  # noqa: S311 - to meet others at another moment
                continue
            raise _meaning(error) from tellable_database_error(error)
        return


def _apply(db_url: str) -> None:
    # Poolers give each transaction another connection, on which a statement prepared before is not known.
    with psycopg.connect(db_url, prepare_threshold=None, connect_timeout=10) as connection:
        connection.execute(schema_sql().encode())
        connection.execute("notify pgrst, 'reload schema'")


def _meaning(error: psycopg.Error) -> ChatStoreError:
    code, said = error.sqlstate, error.diag.message_primary
    if code in _HELD_BY_OTHERS:
        return UnavailableError(
            f"others are at work on chatstore's tables in the database, and gave no room in {_ATTEMPTS} attempts "
            f"({code}): nothing was changed; look for long transactions, or try again at a quieter moment"
        )
    if code is None and isinstance(error, psycopg.OperationalError):
        return UnavailableError(f"the database of SUPABASE_DB_URL cannot be reached: {without_quotes(error)}")
    if code is None:
        return ConfigurationError("SUPABASE_DB_URL is not a Postgres URL: postgresql://user:password@host/db")
    if isinstance(error, psycopg.OperationalError):
        return UnavailableError(f"the database answered with an error ({code}), and nothing was changed: {said}")
    return SchemaError(f"Postgres refused chatstore's schema, and nothing was changed: {said}")

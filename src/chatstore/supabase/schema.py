"""The schema in Supabase's Postgres: its text, and how it is applied."""

from __future__ import annotations

import importlib.resources

import psycopg

from chatstore.errors import ConfigurationError, SchemaError, UnavailableError

SCHEMA_VERSION = 3
"""What `chatstore_version()` answers in a database whose schema this release works with."""


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

    Args:
        db_url: `SUPABASE_DB_URL`, of a role that owns the schema `public`, as Supabase's `postgres` does.

    Raises:
        ConfigurationError: The URL is malformed.
        SchemaError: Postgres refused it, say because `public.sessions` is there already with other columns.
        UnavailableError: The database could not be reached.
    """
    try:
        # Poolers give each transaction another connection, on which a statement prepared before is not known.
        with psycopg.connect(db_url, prepare_threshold=None, connect_timeout=10) as connection:
            connection.execute(schema_sql().encode())
            connection.execute("notify pgrst, 'reload schema'")
    except psycopg.OperationalError as error:
        raise UnavailableError(
            f"the database of SUPABASE_DB_URL cannot be reached: {' '.join(str(error).split())}"
        ) from error
    except psycopg.ProgrammingError as error:
        if error.sqlstate is None:
            raise ConfigurationError(
                "SUPABASE_DB_URL is not a Postgres URL: postgresql://user:password@host/db"
            ) from None
        raise _refused(error) from error
    except psycopg.Error as error:
        raise _refused(error) from error


def _refused(error: psycopg.Error) -> SchemaError:
    return SchemaError(f"Postgres refused chatstore's schema, and nothing was changed: {error.diag.message_primary}")

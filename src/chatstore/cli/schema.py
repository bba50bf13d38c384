"""`chatstore schema`: what Supabase's database needs."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore.cli.output import AsJson, answer, say

_Apply = Annotated[bool, typer.Option("--apply", help="Run it on the database of SUPABASE_DB_URL.")]


def register(app: typer.Typer) -> None:
    """Add the command to a program."""
    app.command()(schema)


def schema(*, apply: _Apply = False, as_json: AsJson = False) -> None:
    """Print the SQL of chatstore's tables in Supabase, or apply it.

    Applied again, it does no harm. Without SUPABASE_DB_URL, paste the SQL into the SQL editor of Supabase's dashboard.

    Example:  chatstore schema --apply
    """
    from chatstore.supabase.schema import SCHEMA_VERSION, schema_sql

    if apply:
        _apply()
        answer({"applied": True, "version": SCHEMA_VERSION}, (), as_json=as_json)
        say(f"the database has chatstore's schema, version {SCHEMA_VERSION}\nnext: chatstore migrate")
    else:
        sql = schema_sql()
        answer({"applied": False, "version": SCHEMA_VERSION, "sql": sql}, [sql], as_json=as_json)


def _apply() -> None:
    from chatstore.settings import load_settings, require
    from chatstore.supabase.schema import apply_schema

    settings = load_settings()
    require(settings, "supabase_db_url")
    if settings.supabase_db_url is not None:
        apply_schema(settings.supabase_db_url.get_secret_value())

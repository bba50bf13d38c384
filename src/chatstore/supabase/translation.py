"""What a failed request means to a caller: every error of the client libraries becomes one of chatstore's, here."""

from __future__ import annotations

import re
from typing import Final

import httpx
import psycopg
from postgrest import APIError

from chatstore.errors import (
    ChatStoreError,
    ConfigurationError,
    ConflictError,
    InvalidRecordError,
    NotFoundError,
    SchemaError,
    UnavailableError,
)
from chatstore.supabase.text import decode

# SQLSTATEs of Postgres and codes of PostgREST: https://docs.postgrest.org/en/stable/references/errors.html
_LOST_RACES: Final = frozenset({"40001", "40P01"})
_NO_SCHEMA: Final = frozenset({"PGRST106", "PGRST202", "PGRST203", "PGRST205", "3F000", "42P01", "42703", "42883"})
_BAD_TOKEN: Final = frozenset({"PGRST301", "PGRST302", "PGRST303", "401", "403"})
_BAD_RECORD_CLASSES: Final = ("22", "54")
_BAD_RECORD: Final = frozenset({"23502", "23514", "413"})
_OF_POSTGRES: Final = re.compile("[0-9A-Z]{5}|PGRST[0-9]+|SUP")
# All but the server's name, which is one for sure where it has no @.
_QUOTED: Final = re.compile(r"""(?<!server at )"[^"]*"|"[^"]*@[^"]*"|'[^']*'""")
_NO_ENTRY: Final = frozenset({"28000", "28P01", "3D000"})
# Of a connection that is not made, psycopg tells no SQLSTATE. The third is what Supabase's pooler says.
_NO_ENTRY_SIGNS: Final = (
    "password authentication failed",
    "does not exist",
    "Tenant or user not found",
    "for connection option",
)
# Postgres', and those of the poolers of Supabase (Supavisor, PgBouncer).
_NO_CONNECTION_SIGNS: Final = (
    "too many clients",
    "too many connections",
    "remaining connection slots are reserved",
    "max client connections reached",
    "max clients reached",
    "no more connections allowed",
)
_NO_API: Final = frozenset({"301", "302", "303", "307", "308", "400", "404", "405", "PGRST117", "PGRST125"})

# Supabase's lightweight server names no SQLSTATE for these.
_BY_MESSAGE: Final = {
    "deadlock detected": "40P01",
    "could not serialize access": "40001",
    "tuple concurrently updated": "40001",
    "index row": "54000",
    "string too long": "54000",
    "violates check constraint": "23514",
    "Invalid API key": "401",
    "read-only transaction": "25006",
    "statement timeout": "57014",
    "No space left on device": "53100",
}
_WHY_UNAVAILABLE: Final = {
    "25006": "is read-only, as a project is whose disk is nearly full: free or buy space, or lift it",
    "53100": "has no space left on its disk: free or buy some",
    "53300": "has no connections left: let fewer processes use it (each takes up to four), or raise its limit",
    "57014": "gave the request up, as it took longer than statement_timeout: look for long transactions and locks",
}


def lost_a_race(error: APIError | psycopg.Error) -> bool:
    """Return whether Postgres undid the request because of another one, so that it may simply be made again."""
    return (_code(error) if isinstance(error, APIError) else error.sqlstate) in _LOST_RACES


def is_of_the_token(error: APIError) -> bool:
    """Return whether it was the key or the token itself that was not accepted, whatever was asked with it."""
    return _code(error) in _BAD_TOKEN


def has_no_connection_left(error: psycopg.Error) -> bool:
    """Return whether it was a connection more than the server, its role, its database or a pooler gives."""
    said = str(error).lower()
    return error.sqlstate == "53300" or (error.sqlstate is None and any(sign in said for sign in _NO_CONNECTION_SIGNS))


def translated(error: Exception, url: str) -> ChatStoreError:
    """Return the error to raise for one of httpx or postgrest. It holds no key and no text of a record.

    Args:
        error: What a request raised.
        url: The project's URL, to name it.
    """
    if isinstance(error, APIError):
        return _refused(error, url)
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return UnavailableError(f"Supabase at {url} did not answer in time: is it overloaded, or SUPABASE_URL wrong?")
    return UnavailableError(
        f"Supabase at {url} cannot be reached ({type(error).__name__}): is it running, is SUPABASE_URL right?"
    )


def translated_database_error(error: psycopg.Error) -> ChatStoreError:
    """Return the error to raise for one of psycopg. It holds no part of the URL and no text of a record."""
    where = "the database of SUPABASE_DB_URL"
    code = "53300" if has_no_connection_left(error) else error.sqlstate
    if code in _NO_ENTRY or (code is None and any(sign in str(error) for sign in _NO_ENTRY_SIGNS)):
        return ConfigurationError(f"{where} lets nobody in with what the URL says: are its parts right?")
    if code == "42501":
        return ConfigurationError(f"{where} does not allow this to the URL's role: migrating needs `postgres`")
    if code is not None:
        told = _by_postgres(code, error.diag.message_primary, error.diag.message_detail, where)
        return told or UnavailableError(f"{where} answered with an error ({code}): its log tells more")
    if isinstance(error, psycopg.ProgrammingError):
        return ConfigurationError("SUPABASE_DB_URL is not a Postgres URL: postgresql://user:password@host/db")
    if isinstance(error, psycopg.DataError):
        return InvalidRecordError("Postgres cannot hold the record: a text has a character that it cannot store")
    return UnavailableError(f"{where} cannot be reached, or gave no answer: is it running, is the URL right?")


def tellable(error: APIError | httpx.HTTPError) -> Exception | None:
    """Return an error of httpx or postgrest as it may stand behind one of ours; None where nothing of it may.

    Postgres' details quote records, what answers in Supabase's place may quote the request, and what sends it quotes
    a header that it cannot send.
    """
    if isinstance(error, APIError):
        if _OF_POSTGRES.fullmatch(error.code or "") is None or _quotes_a_record(error.code or ""):
            return None
        return APIError({"message": error.message, "code": error.code, "hint": None, "details": None})
    return None if isinstance(error, httpx.LocalProtocolError) else error


def tellable_database_error(error: psycopg.Error) -> psycopg.Error | None:
    """Return an error of psycopg as it may stand behind one of ours; None where nothing of it may.

    What is said of a connection that is not made quotes the URL: the password too, where it is not escaped.
    """
    if error.sqlstate is None:
        return type(error)(without_quotes(error))
    return None if _quotes_a_record(error.sqlstate) else type(error)(error.diag.message_primary or "")


def without_quotes(error: psycopg.Error) -> str:
    """Return what an error says, in one line, without what it quotes but for the server's name."""
    return _QUOTED.sub("…", " ".join(str(error).split()))


def _quotes_a_record(code: str) -> bool:
    return code.startswith(_BAD_RECORD_CLASSES) or code in _BAD_RECORD


def _refused(error: APIError, url: str) -> ChatStoreError:
    code = _code(error)
    if code == "42501":
        return ConfigurationError(
            f"Supabase at {url} does not allow this to the key or token used ({code}): migrating needs "
            "SUPABASE_SECRET_KEY, and a user's token reaches that user's own records only"
        )
    if code in _BAD_TOKEN:
        return ConfigurationError(
            f"Supabase at {url} does not accept the key or token used ({code}): is it expired, or another project's?"
        )
    if code in _NO_API:
        return ConfigurationError(f"no Supabase API answers at {url} ({code}): is SUPABASE_URL right?")
    told = _by_postgres(code, error.message, error.details, f"the Supabase project at {url}")
    return told or UnavailableError(f"Supabase at {url} answered with an error ({code}): its log tells more")


def _by_postgres(code: str, message: str | None, detail: str | None, where: str) -> ChatStoreError | None:
    """What Postgres means, whichever way its answer came."""
    if code == "PT404":
        return NotFoundError(_ours(message, detail))
    if code == "PT409":
        return ConflictError(_ours(message, detail))
    if code == "23505":
        return ConflictError("the id is taken")
    if code in _NO_SCHEMA:
        return SchemaError(
            f"{where} lacks a part of chatstore's schema ({code}): run `chatstore schema --apply`; if a newer "
            "release has done so, restart this process with that one"
        )
    if _quotes_a_record(code):
        return InvalidRecordError(f"Postgres cannot hold the record ({code}): an id, a number or a time is too great")
    if code in _WHY_UNAVAILABLE:
        return UnavailableError(f"{where} {_WHY_UNAVAILABLE[code]} ({code})")
    return None


def _code(error: APIError) -> str:
    if error.code and error.code != "SUP":
        return error.code
    message = error.message or ""
    return next((code for part, code in _BY_MESSAGE.items() if part in message), error.code or "no code")


def _ours(message: str | None, detail: str | None) -> str:
    """The message of a condition that our own functions raised, with the id that they name."""
    return f"{message}: {decode(str(detail))!r}"

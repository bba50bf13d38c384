"""Reading as somebody else: what the API does for a request, done in SQL, so that no user's token is needed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg.sql import SQL, Literal

from chatstore.supabase import text
from chatstore.supabase.as_user.report import ANYBODY, NAMELESS, STRANGER
from chatstore.supabase.database import Transaction

ANON: Final = "anon"
AUTHENTICATED: Final = "authenticated"

# Classes of SQLSTATE that tell of the server and not of what was asked: connections, resources, operators and so on.
_OF_THE_SERVER: Final = ("08", "40", "53", "57", "58", "XX")

# One round trip each: several statements may go in one where they have no parameters.
_BEGIN: Final = SQL("""
savepoint visit;
select
  set_config('request.jwt.claims', {}, true),
  set_config('request.method', 'GET', true),
  set_config('request.headers', '{{}}', true),
  set_config('request.cookies', '{{}}', true),
  set_config('search_path', 'public, extensions', true),
  set_config('role', {}, true)
""")
_END: Final = "rollback to savepoint visit; release savepoint visit"


class Refused(Exception):  # noqa: N818 - it is an answer, and becomes a finding
    """Postgres refused what a visitor asked for; the message is the error's name and SQLSTATE.

    Attributes:
        sqlstate: The latter.
    """

    def __init__(self, name: str, sqlstate: str) -> None:
        super().__init__(f"{name}, {sqlstate}")
        self.sqlstate = sqlstate


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who reads.

    Attributes:
        name: How a report calls them: a user's id, or one of those in `report`.
        role: The role that a request of theirs runs as.
        user_id: What `sub` says, as Postgres stores it; None where no token names a user.
        claims: What else the token says.
    """

    name: str
    role: str = AUTHENTICATED
    user_id: str | None = None
    claims: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def user(cls, user_id: str, claims: Mapping[str, object]) -> Visitor:
        """Return the user with this id, as the database writes it."""
        return cls(text.decode(user_id), user_id=user_id, claims=claims)

    def token(self) -> str:
        """Return the claims of a token of theirs, as JSON."""
        named = {} if self.user_id is None else {"sub": self.user_id}
        return json.dumps({**self.claims, **named, "role": self.role})


def outsiders(claims: Mapping[str, object], stranger: str) -> tuple[Visitor, ...]:
    """Return those who own nothing, and so must see nothing; `stranger` is a user id that nobody has."""
    return (
        Visitor(STRANGER, user_id=stranger, claims=claims),
        Visitor(NAMELESS, claims=claims),
        Visitor(ANYBODY, role=ANON),
    )


@asynccontextmanager
async def acting(transaction: Transaction, visitor: Visitor) -> AsyncIterator[None]:
    """For the length of the block, read as this visitor does.

    Raises:
        Refused: Postgres refused something that was asked in the block.
        psycopg.Error: The server could not answer.
    """
    begin = _BEGIN.format(Literal(visitor.token()), Literal(visitor.role)).as_string(None)
    try:
        await transaction.rows(begin)
        yield
    except psycopg.Error as error:
        if error.sqlstate is None or error.sqlstate.startswith(_OF_THE_SERVER):
            raise
        await transaction.rows(_END)
        # What Postgres says of it may quote a record.
        raise Refused(type(error).__name__, error.sqlstate) from None
    # Undoes the role, too.
    await transaction.rows(_END)


async def seen(
    transaction: Transaction, visitor: Visitor, query: str, *parameters: object
) -> Sequence[tuple[Any, ...]]:
    """Return the rows that one statement gives this visitor; raises what `acting` does."""
    async with acting(transaction, visitor):
        return await transaction.rows(query, *parameters)

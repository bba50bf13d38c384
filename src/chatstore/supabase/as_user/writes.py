"""What a user must be able to write, and what nobody may: tried in a transaction that is undone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from chatstore.models import (
    AppendMessages,
    ChatCommand,
    CreateSession,
    DeleteMessages,
    DeleteSession,
    EditMessage,
    Mark,
    NewMessage,
    Side,
    UpdateSession,
    new_id,
)
from chatstore.supabase import text
from chatstore.supabase.as_user.catalog import MESSAGES, SESSIONS
from chatstore.supabase.as_user.report import Finding, Wrong
from chatstore.supabase.as_user.visitor import Refused, Visitor, acting
from chatstore.supabase.database import Transaction
from chatstore.supabase.wire import command_to_row

_WRITE: Final = "public.chatstore_write()"
_CALL: Final = "select public.chatstore_write(%s)"
# Where a policy lets an attempt through, it may have to wait for an app that is at the same record.
_WAIT: Final = "select set_config('lock_timeout', '2s', true)"
_HELD_BY_OTHERS: Final = "55P03"
# Of the constraints of a table, which Postgres looks at only after its policies.
_BEHIND_POLICIES: Final = "23"


@dataclass(frozen=True, slots=True)
class Attempt:
    """Something to try.

    Attributes:
        place: The table or function.
        what: What it would do, as a sentence goes on.
        statements: What to run, one after the other, with what goes into it; the last must change no row.
    """

    place: str
    what: str
    statements: Sequence[tuple[str, Sequence[object]]]


@dataclass(slots=True)
class Tried:
    """What the attempts came to.

    Attributes:
        findings: What is wrong.
        untold: What could not be told, a sentence each.
    """

    findings: list[Finding] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)


async def try_to_write(transaction: Transaction, visitor: Visitor, others: Mapping[str, str]) -> Tried:
    """Try to write as a visitor: what is their own, if they are a user, and what is another's.

    Args:
        transaction: Is undone afterwards; each attempt is undone at once.
        visitor: Who writes.
        others: Whose some sessions are; the first of somebody else is tried, which should have messages.
    """
    tried = Tried()
    await transaction.rows(_WAIT)
    if visitor.user_id is not None:
        await _try_own(transaction, visitor, tried)
    theirs = next(((name, owner) for name, owner in others.items() if owner != visitor.user_id), None)
    if theirs is not None:
        for attempt in _forbidden(visitor, *theirs):
            await _try_forbidden(transaction, visitor, attempt, tried)
    return tried


async def _try_own(transaction: Transaction, visitor: Visitor, tried: Tried) -> None:
    """Do what an app does for a user, with a session that nobody has; it must all succeed."""
    what = ""
    try:
        async with acting(transaction, visitor):
            for command, mark in _a_life(text.decode(visitor.user_id or "")):
                what = command.op
                await transaction.rows(_CALL, text.dump(command_to_row(command, mark)))
    except Refused as refused:
        tried.findings.append(
            Finding(visitor=visitor.name, wrong=Wrong.REFUSED, place=_WRITE, attempt=what, error=str(refused))
        )


def _a_life(user_id: str) -> Iterator[tuple[ChatCommand, Mark | None]]:
    session_id, message = new_id(), NewMessage("user", "")
    created = CreateSession(user_id=user_id, session_id=session_id)
    yield created, Mark(key=session_id, user_id=user_id, side=Side.NEW, op=created.op)
    yield AppendMessages(user_id=user_id, session_id=session_id, messages=(message,)), None
    yield EditMessage(user_id=user_id, session_id=session_id, message_id=message.id, content="x"), None
    yield DeleteMessages(user_id=user_id, session_id=session_id, message_ids=(message.id,)), None
    yield UpdateSession(user_id=user_id, session_id=session_id, title="x"), None
    yield DeleteSession(user_id=user_id, session_id=session_id), None


async def _try_forbidden(transaction: Transaction, visitor: Visitor, attempt: Attempt, tried: Tried) -> None:
    try:
        async with acting(transaction, visitor):
            for statement, parameters in attempt.statements:
                changed = await transaction.changed(statement, *parameters)
    except Refused as refused:
        if refused.sqlstate == _HELD_BY_OTHERS:
            tried.untold.append(
                f"{attempt.place}: whether anybody may {attempt.what} was not told, as an app was at it"
            )
        changed = 1 if refused.sqlstate.startswith(_BEHIND_POLICIES) else 0
    if changed:
        tried.findings.append(
            Finding(
                visitor=visitor.name, wrong=Wrong.WRITABLE, place=attempt.place, rows=changed, attempt=attempt.what
            )
        )  # fmt: skip


def _forbidden(visitor: Visitor, session_id: str, owner: str) -> Iterator[Attempt]:
    """Yield what must change nothing of a session and its owner, whoever tries it."""
    session, message = "insert into public.sessions (id, user_id) values (%s, %s)", _INSERT_MESSAGE
    yield Attempt(SESSIONS, "insert a session of another user", [(session, (new_id(), owner))])
    yield Attempt(MESSAGES, "insert a message of another user", [(message, (session_id, new_id(), owner))])
    if visitor.user_id is not None:
        own = new_id()
        yield Attempt(
            MESSAGES,
            "insert a message into another user's session",
            [(message, (session_id, new_id(), visitor.user_id))],
        )
        give = "update public.sessions set user_id = %s where id = %s"
        yield Attempt(
            SESSIONS, "give a session to another user", [(session, (own, visitor.user_id)), (give, (owner, own))]
        )
    for table, column, unchanged in ((SESSIONS, "id", "title"), (MESSAGES, "session_id", "content")):
        noun = table.removeprefix("public.")
        update = f"update {table} set {unchanged} = {unchanged} where {column} = %s"
        yield Attempt(table, f"change another user's {noun}", [(update, (session_id,))])
        yield Attempt(
            table, f"delete another user's {noun}", [(f"delete from {table} where {column} = %s", (session_id,))]
        )
    theirs = UpdateSession(user_id=text.decode(owner), session_id=text.decode(session_id), title="x")
    yield Attempt(_WRITE, "change another user's sessions", [(_CALL, (text.dump(command_to_row(theirs, None)),))])


_INSERT_MESSAGE: Final = """
insert into public.messages (session_id, id, user_id, position, role, content) values (%s, %s, %s, 0, 'user', '')
"""

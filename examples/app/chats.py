"""The API of conversations. Each call goes to one user's stores: there is no way to name another's."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from examples.app.identity import User
from examples.app.shapes import Messages, MessageShape, Question, Sessions, SessionShape, SessionTitle
from examples.app.turns import Turns

_PAGE = 50

router = APIRouter(prefix="/api/sessions", tags=["conversations"])
# An id is the old app's own text, so it may have a slash in it; hence `:path`.


@router.get("")
async def list_sessions(user: User, after: str | None = None) -> Sessions:
    """Return the user's sessions, newest first."""
    page = await user.chat.list_sessions(limit=_PAGE, after=after)
    return Sessions(items=[SessionShape.of(session) for session in page.items], next=page.next)


@router.post("", status_code=201)
async def create_session(user: User, given: SessionTitle) -> SessionShape:
    """Create a session."""
    return SessionShape.of(await user.chat.create_session(title=given.title))


@router.get("/{session_id:path}/messages")
async def list_messages(
    user: User, session_id: str, before_position: int | None = None, before_id: str | None = None
) -> Messages:
    """Return a session's last messages, or the last ones before one that the caller has."""
    before = None if before_position is None or before_id is None else (before_position, before_id)
    # One more than is given tells whether there are earlier ones.
    found = await user.chat.last_messages(session_id, _PAGE + 1, before=before)
    return Messages(items=[MessageShape.of(message) for message in found[-_PAGE:]], earlier=len(found) > _PAGE)


@router.post("/{session_id:path}/messages")
async def say(request: Request, user: User, session_id: str, question: Question) -> StreamingResponse:
    """Append what the user says, and stream the answer: one JSON object a line, as `turns.Event` says."""
    turns: Turns = request.app.state.turns
    events = await turns.begin(user, session_id, question.content)

    async def lines() -> AsyncIterator[str]:
        async for event in events:
            yield event.model_dump_json(exclude_none=True) + "\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@router.patch("/{session_id:path}")
async def rename_session(user: User, session_id: str, given: SessionTitle) -> SessionShape:
    """Change a session's title."""
    return SessionShape.of(await user.chat.update_session(session_id, title=given.title))


@router.delete("/{session_id:path}")
async def delete_session(user: User, session_id: str) -> Response:
    """Delete a session with all of its messages; one that is not there is as good as deleted."""
    await user.chat.delete_session(session_id)
    return Response(status_code=204)

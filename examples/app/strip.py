"""What is seen of the migration at the bottom of the page: the stage, the marks, and what the shadow reads found."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel

from chatstore.models import Backlog, Kind, Stage
from chatstore.routing import ChatRouter, DocumentRouter
from chatstore.stores import Stores
from examples.app.identity import User

router = APIRouter(prefix="/api", tags=["migration"])


class KindShape(BaseModel):
    """How far one kind is moved.

    Attributes:
        stage: At which stage this user is served; None where there is one side only, and so no stage.
        marks: On how many records the sides may still differ, over all users.
        oldest_mark_seconds: Since when the oldest of them does.
        compared: What became of the shadow reads, since this process began: how many were `equal`, `mismatched`, …
    """

    stage: Stage | None = None
    marks: int = 0
    oldest_mark_seconds: float | None = None
    compared: dict[str, int] | None = None


@router.get("/migration")
async def migration(request: Request, user: User) -> dict[Kind, KindShape]:
    """Tell how far chats and documents are moved. It names no record and no other user."""
    stores: Stores = request.app.state.stores
    backlog = await stores.backlog()
    return {
        Kind.CHAT: await _kind(stores.chat, backlog.get(Kind.CHAT), user.user_id),
        Kind.DOCUMENTS: await _kind(stores.documents, backlog.get(Kind.DOCUMENTS), user.user_id),
    }


async def _kind(store: object, backlog: Backlog | None, user_id: str) -> KindShape:
    if not isinstance(store, ChatRouter | DocumentRouter) or backlog is None:
        return KindShape()
    async with store.turn(user_id) as stage:
        pass
    since = None if backlog.oldest is None else (datetime.now(UTC) - backlog.oldest).total_seconds()
    return KindShape(stage=stage, marks=backlog.marks, oldest_mark_seconds=since, compared=asdict(store.shadow.counts))

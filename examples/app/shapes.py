"""What the JSON API takes and gives."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, StringConstraints

from chatstore import Match, Message, Session

Title = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]


class SessionTitle(BaseModel):
    """What a session is called; an empty title is given by the first thing said in it."""

    title: Title = ""


class SessionShape(BaseModel):
    """A session in a list."""

    id: str
    title: str
    updated_at: datetime

    @classmethod
    def of(cls, session: Session) -> SessionShape:
        return cls(id=session.id, title=session.title, updated_at=session.updated_at)


class Sessions(BaseModel):
    """A page of sessions, newest first, and the `after` of the next one."""

    items: list[SessionShape]
    next: str | None


class Question(BaseModel):
    """What a user says."""

    content: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]


class MessageShape(BaseModel):
    """A message."""

    id: str
    position: int
    role: str
    content: str
    metadata: dict[str, object]
    created_at: datetime

    @classmethod
    def of(cls, message: Message) -> MessageShape:
        return cls(
            id=message.id,
            position=message.position,
            role=message.role,
            content=message.content,
            metadata=dict(message.metadata),
            created_at=message.created_at,
        )


class Messages(BaseModel):
    """A page of a session's messages, oldest first, and whether there are earlier ones."""

    items: list[MessageShape]
    earlier: bool


class FileShape(BaseModel):
    """A file that was uploaded, or a document that was there before: the ids of its parts, which are documents."""

    name: str
    ids: list[str]
    updated_at: datetime


class Files(BaseModel):
    """A page of files, newest first, and the `after` of the next one."""

    items: list[FileShape]
    next: str | None


class Ids(BaseModel):
    """Which documents."""

    ids: list[str]


class MatchShape(BaseModel):
    """A search hit: its score is a cosine similarity, 1 for the same direction."""

    id: str
    title: str
    text: str
    page: int | None
    score: float

    @classmethod
    def of(cls, match: Match) -> MatchShape:
        found = match.document
        page = found.metadata.get("page")
        return cls(
            id=found.id,
            title=found.title,
            text=found.text,
            page=page if isinstance(page, int) else None,
            score=round(match.score, 4),
        )

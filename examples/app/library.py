"""The API of documents: files are uploaded, listed, searched and deleted. Each part of a file is one document."""

from __future__ import annotations

import asyncio
import uuid
from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, UploadFile

from chatstore import Document, NewDocument
from chatstore.models import JsonValue
from examples.app.identity import User
from examples.app.reading import Part, UnreadableError, parts_of
from examples.app.shapes import Files, FileShape, Ids, MatchShape

_PAGE = 200
_BATCH = 200
_MOST_PARTS = 10_000
_UPLOADS = uuid.UUID("6f1c0b0e-5d0c-4f3e-9f0e-3f6f0a8c2d11")

router = APIRouter(prefix="/api", tags=["documents"])


@router.post("/documents", status_code=201)
async def upload(user: User, file: UploadFile) -> FileShape:
    """Take a file: a text, Markdown or a PDF."""
    name, data = (file.filename or "")[:200], await file.read()
    try:
        parts = await asyncio.to_thread(parts_of, name, data)
    except UnreadableError as error:
        raise HTTPException(422, str(error)) from error
    documents = _documents(user.user_id, name, data, parts)
    for start in range(0, len(documents), _BATCH):
        stored = await user.documents.upsert(documents[start : start + _BATCH])
    return FileShape(name=name, ids=[document.id for document in documents], updated_at=stored[-1].updated_at)


def _documents(user_id: str, name: str, data: bytes, parts: list[Part]) -> list[NewDocument]:
    """Return the documents of a file, with ids that depend on nothing but user and file.

    So uploading a file again, after an error in the middle say, writes the same documents and not others beside them.
    """
    upload = uuid.uuid5(_UPLOADS, f"{user_id}/{name}/{sha256(data).hexdigest()}").hex
    documents = []
    for number, part in enumerate(parts):
        metadata: dict[str, JsonValue] = {"upload": upload, "part": number, "parts": len(parts)}
        if part.page is not None:
            metadata["page"] = part.page
        documents.append(NewDocument(part.text, id=f"{upload}-{number}", title=name, metadata=metadata))
    return documents


@router.get("/documents")
async def list_files(user: User, after: str | None = None) -> Files:
    """Return the user's files, newest first. What was not uploaded here, as the old app's, stands for itself."""
    page = await user.documents.list_documents(limit=_PAGE, after=after)
    files = {file.ids[0]: file for file in map(_file_of, reversed(page.items))}
    return Files(items=list(reversed(files.values())), next=page.next)


def _file_of(document: Document) -> FileShape:
    """Return the file that a document is a part of. Of the ids of all parts one tells the others."""
    upload, part, parts = (document.metadata.get(name) for name in ("upload", "part", "parts"))
    ids = [document.id]
    if document.id == f"{upload}-{part}" and isinstance(parts, int) and 0 < parts <= _MOST_PARTS:
        ids = [f"{upload}-{number}" for number in range(parts)]
    return FileShape(name=document.title, ids=ids, updated_at=document.updated_at)


@router.post("/documents/delete")
async def delete(user: User, given: Ids) -> dict[str, int]:
    """Delete documents, and tell how many were there."""
    return {"deleted": await user.documents.delete(given.ids)}


@router.get("/search")
async def search(
    user: User, q: Annotated[str, Query(min_length=1, max_length=2_000)], k: Annotated[int, Query(ge=1, le=20)] = 5
) -> list[MatchShape]:
    """Return those of the user's documents that are most like a text, with their scores."""
    return [MatchShape.of(match) for match in await user.documents.search(q, k=k)]
